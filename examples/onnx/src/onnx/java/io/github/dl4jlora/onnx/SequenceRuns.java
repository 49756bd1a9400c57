package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/** Compares networks of sequences, each written once, at several lengths and batches, and with several masks. */
final class SequenceRuns {

    /** What of a sequence is present. */
    enum Mask { NONE, END, START, BETWEEN }

    /** Batches and lengths, all of which one file must take. */
    private static final long[][] SIZES = {{3, 5}, {1, 4}, {2, 1}, {4, 9}};

    private SequenceRuns() {
    }

    /** A chain of layers, none of whose parameters is at its initial value. */
    static Supplier<Model> chain(InputType type, Layer... layers) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(7).list(layers);
        return () -> {
            return Samples.shaken(Initialised.of(list.setInputType(type).build().clone()), 3);
        };
    }

    static Supplier<Model> graph(Consumer<ComputationGraphConfiguration.GraphBuilder> parts) {
        ComputationGraphConfiguration.GraphBuilder builder = new NeuralNetConfiguration.Builder().seed(7).graphBuilder();
        parts.accept(builder);
        ComputationGraphConfiguration configuration = builder.build();
        return () -> {
            return Samples.shaken(Initialised.of(configuration.clone()), 3);
        };
    }

    /** Inputs are normally distributed values of the types' shapes. */
    static void agrees(Supplier<Model> network, Mask mask, InputType... types) throws IOException {
        agrees(network, mask, UnaryOperator.identity(), types);
    }

    static void agrees(Supplier<Model> network, Mask mask, UnaryOperator<OnnxExport> settings, InputType... types)
            throws IOException {
        agrees(network, mask, settings, (batch, time) -> Arrays.stream(types).map(type -> values(type, batch, time))
                .toArray(INDArray[]::new), types);
    }

    static void agrees(Supplier<Model> network, Mask mask, Inputs inputs, InputType... types) throws IOException {
        agrees(network, mask, UnaryOperator.identity(), inputs, types);
    }

    /** What flows into a network. */
    interface Inputs {
        INDArray[] of(long batch, long time);
    }

    /** @param network makes one for each size, since attention in DL4J keeps the length that it has seen first */
    static void agrees(Supplier<Model> network, Mask mask, UnaryOperator<OnnxExport> settings, Inputs inputs,
                       InputType... types) throws IOException {
        Path file = InMemory.file();
        try {
            settings.apply(OnnxExport.of(network.get()).masks(mask != Mask.NONE)).write(file);
            for (long[] size : SIZES) {
                Nd4j.getRandom().setSeed(size[1]);
                INDArray[] features = inputs.of(size[0], size[1]);
                INDArray[] masks = Arrays.stream(types).map(type -> mask != Mask.NONE
                        && type instanceof InputType.InputTypeRecurrent ? mask(mask, size[0], size[1]) : null)
                        .toArray(INDArray[]::new);
                INDArray[] all = Stream.concat(Arrays.stream(features), Arrays.stream(masks).filter(m -> m != null))
                        .toArray(INDArray[]::new);
                INDArray[] copies = Arrays.stream(features).map(INDArray::dup).toArray(INDArray[]::new);
                Model model = network.get();
                INDArray[] expected = model instanceof MultiLayerNetwork chain
                        ? new INDArray[]{chain.output(copies[0], false, masks[0], null)}
                        : ((ComputationGraph) model).output(false, copies, mask == Mask.NONE ? null : masks);
                InRuntime.agrees(Arrays.asList(expected), file, all);
            }
        } finally {
            Files.deleteIfExists(file);
        }
    }

    static INDArray values(InputType type, long batch, long time) {
        if (type instanceof InputType.InputTypeRecurrent sequence) {
            return sequence.getFormat() == RNNFormat.NWC ? Nd4j.randn(DataType.FLOAT, batch, time, sequence.getSize())
                    : Nd4j.randn(DataType.FLOAT, batch, sequence.getSize(), time);
        }
        return Nd4j.randn(DataType.FLOAT, batch, type.arrayElementsPerExample());
    }

    /** Other steps for each example, at least one of them present. */
    static INDArray mask(Mask mask, long batch, long time) {
        INDArray ones = Nd4j.ones(DataType.FLOAT, batch, time);
        for (long b = 0; b < batch; b++) {
            for (long t = 0; t < time; t++) {
                boolean absent = switch (mask) {
                    case NONE -> false;
                    case END -> t > 0 && t >= time - b;
                    case START -> t < time - 1 && t < b;
                    case BETWEEN -> t > 0 && t < time - 1 && (t + b) % 2 == 0;
                };
                if (absent) {
                    ones.putScalar(b, t, 0);
                }
            }
        }
        return ones;
    }
}
