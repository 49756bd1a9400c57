package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.SubsetVertex;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.graph.rnn.DuplicateToTimeSeriesVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.preprocessor.CnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToCnnPreProcessor;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Every gradient in a graph of any shape is the projection of what the stock network with W + ΔW computes. */
class GraphGradientsTest {

    private static final int ROWS = 4;

    static Stream<Arguments> topologies() {
        return Stream.of(
                flat("chain", g -> out(dense(dense(g, "fc1", "in"), "fc2", "fc1"), "fc2")),
                flat("residual from the network input, adapted branch first", g -> out(dense(
                        dense(g, "fc1", "in").addVertex("add", add(), "fc1", "in"), "fc2", "add"), "fc2")),
                flat("residual from the network input, skip first", g -> out(dense(
                        dense(g, "fc1", "in").addVertex("add", add(), "in", "fc1"), "fc2", "add"), "fc2")),
                flat("residual from the network input over two layers", g -> out(dense(dense(g, "fc1", "in"), "fc2", "fc1")
                        .addVertex("add", add(), "in", "fc2"), "add")),
                flat("residual around an adapted layer", g -> out(dense(dense(g, "fc1", "in"), "fc2", "fc1")
                        .addVertex("add", add(), "fc2", "fc1"), "add")),
                flat("residual around an adapted layer, skip first", g -> out(dense(dense(g, "fc1", "in"), "fc2", "fc1")
                        .addVertex("add", add(), "fc1", "fc2"), "add")),
                flat("residual around a frozen layer", g -> out(dense(dense(g, "fc1", "in"), "frozen", "fc1")
                        .addVertex("add", add(), "frozen", "fc1"), "add")),
                flat("residual from a stopped layer", g -> out(dense(dense(g, "frozen", "in"), "fc1", "frozen")
                        .addVertex("add", add(), "frozen", "fc1"), "add")),
                flat("residual from a stopped layer, adapted branch first",
                        g -> out(dense(dense(g, "frozen", "in"), "fc1", "frozen")
                        .addVertex("add", add(), "fc1", "frozen"), "add")),
                flat("merge of a deep and a shallow branch",
                        g -> out(dense(dense(dense(g, "fc1", "in"), "fc2", "fc1"), "fc3", "in")
                        .addVertex("merge", new MergeVertex(), "fc2", "fc3"), "merge")),
                flat("merge of a shallow and a deep branch",
                        g -> out(dense(dense(dense(g, "fc3", "in"), "fc1", "in"), "fc2", "fc1")
                        .addVertex("merge", new MergeVertex(), "fc3", "fc2"), "merge")),
                flat("merge of an adapted layer with the network input", g -> out(dense(g, "fc1", "in")
                        .addVertex("merge", new MergeVertex(), "in", "fc1"), "merge")),
                flat("subset", g -> out(dense(dense(g, "fc1", "in")
                        .addVertex("subset", new SubsetVertex(1, 3), "fc1"), "fc2", "subset"), "fc2")),
                flat("one vertex feeding three",
                        g -> out(dense(dense(dense(dense(g, "fc1", "in"), "fc2", "fc1"), "fc3", "fc1"), "frozen", "fc1")
                        .addVertex("merge", new MergeVertex(), "frozen", "fc3", "fc2"), "merge")),
                flat("two adapted layers on the network input", g -> out(dense(dense(g, "fc1", "in"), "fc2", "in")
                        .addVertex("product", new ElementWiseVertex(ElementWiseVertex.Op.Product), "fc2", "fc1"), "product")),
                flat("frozen branch beside an adapted one",
                        g -> out(dense(dense(dense(g, "frozen1", "in"), "frozen2", "frozen1"), "fc1", "in")
                        .addVertex("merge", new MergeVertex(), "frozen2", "fc1"), "merge")),
                flat("frozen branch with parameterless vertices beside an adapted one", g -> out(dense(dense(g, "frozen1", "in")
                        .addVertex("scale", new ScaleVertex(0.3), "frozen1")
                        .addVertex("shift", new ShiftVertex(1), "scale"), "fc1", "in")
                        .addVertex("sum", add(), "shift", "fc1"), "sum")),
                flat("scale, shift and normalisation between", g -> out(dense(dense(g, "fc1", "in")
                        .addVertex("scale", new ScaleVertex(0.3), "fc1").addVertex("shift", new ShiftVertex(1), "scale")
                        .addVertex("norm", new L2NormalizeVertex(), "shift"), "fc2", "norm"), "fc2")),
                flat("activation layer between, with a sibling that reads the same", g -> out(dense(dense(g, "fc1", "in")
                        .addLayer("relu", new ActivationLayer(Activation.CUBE), "fc1"), "fc2", "relu")
                        .addVertex("merge", new MergeVertex(), "fc1", "fc2"), "merge")),
                flat("stopped activation layer with a sibling that reads the network input", g -> out(dense(dense(g
                        .addLayer("relu", new ActivationLayer(Activation.CUBE), "in"), "fc1", "relu"), "fc2", "in")
                        .addVertex("merge", new MergeVertex(), "fc1", "fc2"), "merge")),
                flat("trained layer below", g -> out(dense(dense(g, "trained", "in"), "fc1", "trained"), "fc1")),
                flat("trained layer above", g -> out(dense(dense(g, "fc1", "in"), "trained", "fc1"), "trained")),
                flat("adapted output layer", g -> dense(g, "fc1", "in").addLayer("fc_out", output(), "fc1").setOutputs("fc_out")),
                flat("trained output layer", g -> dense(g, "fc1", "in").addLayer("trained", output(), "fc1")
                        .setOutputs("trained")),
                flat("two outputs, one with nothing trainable upstream", g -> dense(dense(g, "frozen", "in"), "fc1", "in")
                        .addLayer("out1", output(), "frozen").addLayer("out2", output(), "fc1").setOutputs("out1", "out2")),
                flat("two outputs, the first one's layer feeding the second", g -> dense(dense(g, "fc1", "in"), "fc2", "fc1")
                        .addLayer("out1", output(), "fc1").addLayer("out2", output(), "fc2").setOutputs("out1", "out2")),
                flat("adapted output layer on a network input that others read", g -> dense(g, "fc1", "in")
                        .addLayer("fc_out", output(), "in").addLayer("out", output(), "fc1").setOutputs("fc_out", "out")),
                Arguments.of("two inputs, stacked and unstacked", config(),
                        data(List.of(random(1, ROWS, 5), random(2, ROWS, 5)), 2),
                        builder(g -> dense(g.addInputs("in1", "in2").addVertex("stack", new StackVertex(), "in1", "in2"),
                                "fc1", "stack")
                                .addVertex("first", new UnstackVertex(0, 2), "fc1")
                                .addVertex("second", new UnstackVertex(1, 2), "fc1")
                                .addLayer("out1", output(), "first").addLayer("out2", output(), "second")
                                .setOutputs("out1", "out2")
                                .setInputTypes(InputType.feedForward(5), InputType.feedForward(5)))),
                Arguments.of("two inputs, two outputs, crossed", config(),
                        data(List.of(random(1, ROWS, 5), random(2, ROWS, 3)), 2),
                        builder(g -> dense(dense(dense(g.addInputs("in1", "in2"), "fc1", "in1"), "fc2", "in2")
                                .addVertex("sum", add(), "fc2", "fc1"), "fc3", "sum")
                                .addLayer("out1", output(), "fc3").addLayer("out2", output(), "sum").setOutputs("out1", "out2")
                                .setInputTypes(InputType.feedForward(5), InputType.feedForward(3)))),
                Arguments.of("stopped convolution and pooling, then dense", config(), data(List.of(random(1, ROWS, 1, 5, 5)), 1),
                        builder(g -> out(dense(g.addInputs("in").addLayer("conv", convolution(), "in")
                                .addLayer("pool", new SubsamplingLayer.Builder().kernelSize(2, 2).stride(1, 1).build(), "conv"),
                                "fc1", "pool"), "fc1")
                                .setInputTypes(InputType.convolutional(5, 5, 1)))),
                Arguments.of("trained convolution, then dense", config(), data(List.of(random(1, ROWS, 1, 5, 5)), 1),
                        builder(g -> out(dense(g.addInputs("in").addLayer("trained", convolution(), "in"), "fc1",
                                "trained"), "fc1")
                                .setInputTypes(InputType.convolutional(5, 5, 1)))),
                Arguments.of("frozen convolution between two adapted layers", config(), data(List.of(random(1, ROWS, 5)), 1),
                        builder(g -> {
                            g.addInputs("in").addLayer("fc1", new DenseLayer.Builder().nIn(5).nOut(16).build(), "in")
                                    .addLayer("conv", convolution(), "fc1")
                                    .addLayer("fc2", new DenseLayer.Builder().nIn(18).nOut(5).build(), "conv")
                                    .addLayer("out", output(5), "fc2").setOutputs("out");
                            g.inputPreProcessor("conv", new FeedForwardToCnnPreProcessor(4, 4, 1));
                            g.inputPreProcessor("fc2", new CnnToFeedForwardPreProcessor(3, 3, 2));
                            return g;
                        })),
                Arguments.of("frozen LSTM between two adapted layers", config(), sequences(),
                        builder(g -> dense(dense(g.addInputs("in"), "fc1", "in")
                                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "fc1"), "fc2", "lstm")
                                .addLayer("fc_out", rnnOutput(), "fc2").setOutputs("fc_out")
                                .setInputTypes(InputType.recurrent(5)))),
                Arguments.of("stopped LSTM, last step duplicated back into a series", config(), sequences(),
                        builder(g -> dense(dense(g.addInputs("in").addLayer("lstm", new LSTM.Builder().nOut(4).build(), "in")
                                .addVertex("last", new LastTimeStepVertex("in"), "lstm"), "fc1", "last")
                                .addVertex("series", new DuplicateToTimeSeriesVertex("in"), "fc1"), "fc2", "series")
                                .addLayer("out", rnnOutput(), "fc2").setOutputs("out").setInputTypes(InputType.recurrent(5)))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("topologies")
    void gradientsAreProjectionsOfTheStockNetworks(String name, LoRAConfig.Builder config, MultiDataSet data,
                                                   UnaryOperator<GraphBuilder> topology) {
        ComputationGraph adapted = adapted(LoRA.apply(initialized(topology), config.build()));

        Map<String, INDArray> gradients = Gradients.of(adapted, data);

        Gradients.assertProjections(adapted, gradients, Gradients.of(LoRA.merge(adapted), data));
    }

    static IntStream seeds() {
        return IntStream.rangeClosed(1, 40);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("topologies")
    void unloadGivesBackTheBase(String name, LoRAConfig.Builder config, MultiDataSet data, UnaryOperator<GraphBuilder> topology) {
        ComputationGraph base = initialized(topology);

        ComputationGraph unloaded = LoRA.unload(adapted(LoRA.apply(base, config.build())));

        assertThat(Models.topology(unloaded)).isEqualTo(Models.topology(base));
        assertThat(unloaded.params().toDoubleVector()).containsExactly(base.params().toDoubleVector());
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void gradientsInRandomGraphsAreProjectionsOfTheStockNetworks(int seed) {
        Random random = new Random(seed);
        MultiDataSet data = data(List.of(random(seed, ROWS, 4), random(seed + 100, ROWS, 4)), 2);
        ComputationGraph base = initialized(g -> randomGraph(g, random));
        LoRAConfig.Builder config = config().storage(seed % 3 == 0 ? FrozenStorage.EMBEDDED : FrozenStorage.SHARED);
        if (base.getConfiguration().getVertices().keySet().stream().anyMatch(name -> name.startsWith("trained"))) {
            config.trainable("trained.*");
        }
        ComputationGraph adapted = adapted(LoRA.apply(base, config.build()));

        Map<String, INDArray> gradients = Gradients.of(adapted, data);

        Gradients.assertProjections(adapted, gradients, Gradients.of(LoRA.merge(adapted), data));
        assertThat(Networks.difference(adapted.output(data.getFeatures())[1], LoRA.merge(adapted).output(data.getFeatures())[1]))
                .isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void layersThatDl4jHadFrozenAreAdaptedLikeAnyOther(FrozenStorage storage) {
        MultiDataSet data = data(List.of(random(1, ROWS, 5)), 1);
        UnaryOperator<GraphBuilder> free = builder(g -> g.addInputs("in").addLayer("fc1", denseOf(5), "in")
                .addLayer("fc2", denseOf(5), "fc1").addLayer("out", output(5), "fc2").setOutputs("out"));
        UnaryOperator<GraphBuilder> wrapped = builder(g -> g.addInputs("in").addLayer("fc1", new FrozenLayer(denseOf(5)), "in")
                .addLayer("fc2", new FrozenLayer(denseOf(5)), "fc1").addLayer("out", output(5), "fc2").setOutputs("out"));
        ComputationGraph base = initialized(wrapped);
        ComputationGraph reference = initialized(free);
        reference.setParams(base.params());
        LoRAConfig config = config().storage(storage).build();
        ComputationGraph adapted = adapted(LoRA.apply(base, config));
        ComputationGraph adaptedReference = adapted(LoRA.apply(reference, config));

        Map<String, INDArray> gradients = Gradients.of(adapted, data);

        Gradients.assertProjections(adapted, gradients, Gradients.of(LoRA.merge(adaptedReference), data));
        assertThat(LoRA.merge(adapted).getLayer("fc1")).isInstanceOf(org.deeplearning4j.nn.layers.FrozenLayer.class);
    }

    @Test
    void dropoutOfFrozenLayersIsOffWhileTraining() {
        MultiDataSet data = data(List.of(random(1, ROWS, 5)), 1);
        UnaryOperator<GraphBuilder> topology = builder(g -> out(dense(g.addInputs("in")
                .addLayer("stopped", new DropoutLayer.Builder(0.5).build(), "in"), "fc1", "stopped")
                .addLayer("frozen", new DenseLayer.Builder().nOut(5).dropOut(0.5).weightNoise(new DropConnect(0.5))
                        .build(), "fc1"), "frozen")
                .setInputTypes(InputType.feedForward(5)));
        ComputationGraph adapted = adapted(LoRA.apply(initialized(topology), config().build()));

        double whileTraining = Gradients.pass(adapted, data);

        assertThat(whileTraining).isEqualTo(adapted.score(data, false));
    }

    private static GraphBuilder randomGraph(GraphBuilder g, Random random) {
        g.addInputs("in1", "in2");
        List<String> made = new ArrayList<>(List.of("in1", "in2"));
        List<String> unread = new ArrayList<>(made);
        for (int i = 0; i < 8; i++) {
            String a = pick(made, random);
            String b = pick(made, random);
            String name;
            switch (random.nextInt(7)) {
                case 0 -> g.addVertex(name = "sum" + i, add(), a, b);
                case 1 -> g.addLayer(name = "frozen" + i, denseOf(4), a);
                case 2 -> g.addLayer(name = "trained" + i, denseOf(4), a);
                case 3 -> g.addVertex(name = "scale" + i, new ScaleVertex(0.7), a);
                case 4 -> {
                    g.addVertex("merge" + i, new MergeVertex(), a, b);
                    g.addLayer(name = (random.nextBoolean() ? "fc" : "frozen") + i, new DenseLayer.Builder().nIn(8).nOut(4)
                            .build(), "merge" + i);
                }
                default -> g.addLayer(name = "fc" + i, denseOf(4), a);
            }
            unread.remove(a);
            if (name.startsWith("sum") || name.matches("(fc|frozen)\\d") && made.contains("merge" + i)) {
                unread.remove(b);
            }
            made.add(name);
            unread.add(name);
        }
        g.addLayer("fc_always", denseOf(4), pick(made, random));
        unread.add("fc_always");
        g.addVertex("all", new MergeVertex(), unread.size() == 1 ? new String[]{unread.get(0), "in1"}
                : unread.toArray(String[]::new));
        g.addLayer("out1", output(4), pick(made, random));
        g.addLayer(random.nextBoolean() ? "fc_out2" : "out2", output(4 * Math.max(2, unread.size())), "all");
        boolean named = g.getVertices().containsKey("fc_out2");
        return g.setOutputs("out1", named ? "fc_out2" : "out2");
    }

    private static String pick(List<String> names, Random random) {
        return names.get(random.nextInt(names.size()));
    }

    private static Arguments flat(String name, UnaryOperator<GraphBuilder> topology) {
        int outputs = name.contains("outputs") || name.contains("others read") ? 2 : 1;
        return Arguments.of(name, name.startsWith("trained") ? config().trainable("trained")
                : config(), data(List.of(random(1, ROWS, 5)), outputs),
                builder(g -> topology.apply(g.addInputs("in")).setInputTypes(InputType.feedForward(5))));
    }

    private static UnaryOperator<GraphBuilder> builder(UnaryOperator<GraphBuilder> topology) {
        return topology;
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(1.5).targets("fc.*");
    }

    private static ComputationGraph initialized(UnaryOperator<GraphBuilder> topology) {
        GraphBuilder builder = new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE).updater(new Sgd(0.1))
                .activation(Activation.TANH).graphBuilder();
        return Networks.of(topology.apply(builder).build());
    }

    private static ComputationGraph adapted(ComputationGraph graph) {
        Networks.randomizeAdapters(graph.paramTable(), 3);
        return graph;
    }

    private static GraphBuilder dense(GraphBuilder g, String name, String input) {
        return g.addLayer(name, new DenseLayer.Builder().nOut(5).build(), input);
    }

    private static DenseLayer denseOf(int nIn) {
        return new DenseLayer.Builder().nIn(nIn).nOut(nIn).build();
    }

    private static ElementWiseVertex add() {
        return new ElementWiseVertex(ElementWiseVertex.Op.Add);
    }

    private static ConvolutionLayer convolution() {
        return new ConvolutionLayer.Builder(2, 2).nIn(1).nOut(2).build();
    }

    private static GraphBuilder out(GraphBuilder g, String input) {
        return g.addLayer("out", output(), input).setOutputs("out");
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(3).activation(Activation.SOFTMAX).build();
    }

    private static OutputLayer output(int nIn) {
        return new OutputLayer.Builder(LossFunction.MCXENT).nIn(nIn).nOut(3).activation(Activation.SOFTMAX).build();
    }

    private static RnnOutputLayer rnnOutput() {
        return new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.TANH).build();
    }

    private static INDArray random(long seed, long... shape) {
        return Networks.random(DataType.DOUBLE, seed, shape);
    }

    private static MultiDataSet data(List<INDArray> features, int outputs) {
        INDArray[] labels = new INDArray[outputs];
        for (int i = 0; i < outputs; i++) {
            labels[i] = Networks.data(DataType.DOUBLE, ROWS, i + 7).getLabels();
        }
        return new MultiDataSet(features.toArray(INDArray[]::new), labels);
    }

    /** Sequences of four steps, one of which ends after two. */
    private static MultiDataSet sequences() {
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 3, 4);
        mask.putScalar(1, 2, 0).putScalar(1, 3, 0);
        return new MultiDataSet(new INDArray[]{random(1, 3, 5, 4)}, new INDArray[]{random(2, 3, 3, 4)}, new INDArray[]{mask},
                new INDArray[]{mask});
    }
}
