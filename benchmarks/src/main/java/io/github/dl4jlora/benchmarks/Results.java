package io.github.dl4jlora.benchmarks;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Everything one run measured. */
final class Results {

    /** A side under settings. */
    record Run(Side side, Settings settings) {

        String title() {
            return side.title() + ", " + settings.title();
        }
    }

    /** Memory of one side, in bytes on top of the loaded base; seconds to make the network. */
    record MemoryUse(long peak, long steady, double seconds) {
    }

    /** Milliseconds of a forward pass. */
    record Inference(double base, double adapted, double merged, double frozen) {
    }

    /** Bytes of a saved model with its updater, of a saved adapter. */
    record Disk(long full, long adapter) {
    }

    /** Milliseconds with DL4J and with PyTorch; NaN where it was not measured. */
    record Encoder(double here, double pyTorch) {
    }

    /** Milliseconds; bytes beyond what was resident before, and most resident. */
    record Cost(double millis, double beyond, double peak) {

        static Cost of(double[] figures) {
            return figures == null ? new Cost(Double.NaN, Double.NaN, Double.NaN) : new Cost(figures[0], figures[1], figures[2]);
        }
    }

    /** Costs of BERT-base with DL4J, and with PyTorch and the faster of its two attentions. */
    record BertBase(Cost here, Cost pyTorch) {
    }

    /** Arrays that a step makes, and bytes on Java's heap. */
    record Made(double arrays, double bytes) {
    }

    /** Milliseconds of a training step and a forward pass, values that train, largest resident size in bytes. */
    record LayerCost(double step, double output, long trained, long peak) {
    }

    /** Values that train, milliseconds of a training step and of one row's forward pass, seconds to make the networks. */
    record VariantCost(long trained, double step, double output, double apply) {
    }

    /** Seconds from opening a mapped base to the first output; bytes of its pages in memory, and of all memory. */
    record Mapped(double seconds, double file, double all) {
    }

    /** The machine and its software, by name. */
    final Map<String, String> machine = new LinkedHashMap<>();
    /** One line for each failed measurement. */
    final List<String> failures = new ArrayList<>();
    final Map<LayerTask, Map<LayerSide, LayerCost>> layers = new EnumMap<>(LayerTask.class);
    final Map<String, VariantCost> variants = new LinkedHashMap<>();
    final Map<Settings, Map<BertBaseTask, BertBase>> bertBase = new EnumMap<>(Settings.class);
    final Map<Settings, Map<EncoderTask, Encoder>> encoder = new EnumMap<>(Settings.class);
    /** Milliseconds of a step, or bytes. */
    final Map<TextTask, Double> texts = new EnumMap<>(TextTask.class);
    /** Milliseconds of PyTorch's step in FLOAT on the sizes of BGE-small. */
    double textStepOfPyTorch = Double.NaN;
    /** Milliseconds of a step. */
    final Map<Shape, Map<Run, Double>> steps = new LinkedHashMap<>();
    final Map<Shape, Map<Side, MemoryUse>> memory = new LinkedHashMap<>();
    final Map<Side, Made> made = new EnumMap<>(Side.class);
    /** Bytes by which a long training has grown. */
    final Map<Run, Long> resident = new LinkedHashMap<>();
    final Map<Shape, Disk> disk = new LinkedHashMap<>();
    final Map<Shape, Map<Settings, Inference>> inference = new LinkedHashMap<>();
    /** Bytes on top of the base by number of adapted networks. */
    final Map<Integer, Long> manyAdapters = new LinkedHashMap<>();
    /** Milliseconds by the form of the base. */
    final Map<StorageTask, Map<Settings, Map<String, Double>>> storage = new EnumMap<>(StorageTask.class);
    /** Bytes of the frozen weights, by form. */
    final Map<String, Long> storedBytes = new LinkedHashMap<>();
    /** Peak from file to first step over the base's size as FLOAT, by form. */
    final Map<String, Double> loading = new LinkedHashMap<>();
    /** A mapped base by its form and the number of processes. */
    final Map<String, Map<Integer, Mapped>> mapped = new LinkedHashMap<>();
    /** As many figures as the task has. */
    final Map<ServingTask, Map<Settings, double[]>> serving = new EnumMap<>(ServingTask.class);
    /** Planned and measured bytes. */
    final Map<PlanTask, Map<Side, PlanMeasurements.Planned>> plans = new EnumMap<>(PlanTask.class);

    final Map<PeerTask, Map<Run, PeerMeasurements.Cost>> peers = new EnumMap<>(PeerTask.class);
    /** The farthest of a side's gradients from PyTorch's, relative to its size. */
    final Map<PeerTask, Map<Side, Double>> differences = new EnumMap<>(PeerTask.class);

    final Map<OnnxTask, OnnxMeasurements.Cost> onnx = new EnumMap<>(OnnxTask.class);

    /** Of builds of the library, by name. */
    final Map<BuildTask, Map<String, BuildMeasurements.Cost>> builds = new EnumMap<>(BuildTask.class);
    long adapterBytes;
    String pyTorch = "absent";

    Map<Run, Double> stepsOf(Shape shape) {
        return steps.computeIfAbsent(shape, key -> new LinkedHashMap<>());
    }

    /** Whether oneDNN was among the classes that the Java sides run on. */
    boolean hasOneDnn() {
        return !machine.getOrDefault(MachineChild.ONEDNN, MachineChild.ABSENT).equals(MachineChild.ABSENT);
    }

    /** Milliseconds of a step; NaN where it was not measured. */
    double step(Shape shape, Side side, Settings settings) {
        return steps.getOrDefault(shape, Map.of()).getOrDefault(new Run(side, settings), Double.NaN);
    }

    /** The ratio of two sides' steps on one thread; NaN where one was not measured. */
    double ratio(Shape shape, Side side, Side to) {
        return step(shape, side, Settings.ONE_THREAD) / step(shape, to, Settings.ONE_THREAD);
    }
}
