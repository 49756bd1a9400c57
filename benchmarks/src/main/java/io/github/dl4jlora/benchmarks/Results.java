package io.github.dl4jlora.benchmarks;

import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** Everything one run measured. */
final class Results {

    /** Memory of one side, in bytes on top of the loaded base; seconds to make the network. */
    record MemoryUse(long peak, long steady, double seconds) {
    }

    /** Milliseconds of a forward pass. */
    record Inference(double base, double adapted, double merged) {
    }

    /** Bytes of a saved model with its updater, of a saved adapter. */
    record Disk(long full, long adapter) {
    }

    /** Milliseconds with DL4J and with PyTorch; NaN where it was not measured. */
    record Encoder(double here, double pyTorch) {
    }

    /** Milliseconds of a training step and a forward pass, values that train, largest resident size in bytes. */
    record LayerCost(double step, double output, long trained, long peak) {
    }

    /** Values that train, milliseconds of a training step and of one row's forward pass, seconds to make the networks. */
    record VariantCost(long trained, double step, double output, double apply) {
    }

    final Map<LayerTask, Map<LayerSide, LayerCost>> layers = new EnumMap<>(LayerTask.class);
    final Map<String, VariantCost> variants = new LinkedHashMap<>();
    final Map<EncoderTask, Encoder> encoder = new EnumMap<>(EncoderTask.class);
    final Map<Shape, Map<Side, Double>> steps = new LinkedHashMap<>();
    final Map<Shape, Map<Side, MemoryUse>> memory = new LinkedHashMap<>();
    final Map<Shape, Disk> disk = new LinkedHashMap<>();
    final Map<Shape, Inference> inference = new LinkedHashMap<>();
    /** Bytes on top of the base by number of adapted networks. */
    final Map<Integer, Long> manyAdapters = new LinkedHashMap<>();
    long adapterBytes;
    String pyTorch = "absent";
    String machine = "";

    Map<Side, Double> stepsOf(Shape shape) {
        return steps.computeIfAbsent(shape, key -> new EnumMap<>(Side.class));
    }

    /** The ratio of two sides' steps; NaN where one was not measured. */
    double ratio(Shape shape, Side side, Side to) {
        Map<Side, Double> of = stepsOf(shape);
        return of.getOrDefault(side, Double.NaN) / of.getOrDefault(to, Double.NaN);
    }
}
