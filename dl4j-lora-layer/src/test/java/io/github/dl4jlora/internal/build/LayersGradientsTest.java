package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration.ListBuilder;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static io.github.dl4jlora.LayerChains.builder;
import static io.github.dl4jlora.LayerChains.output;
import static org.assertj.core.api.Assertions.assertThat;

/** Gradients in chains, of the input, from external errors and through truncated sequences. */
class LayersGradientsTest {

    private static final LoRAConfig FC = LoRAConfig.builder().rank(2).alpha(1.5).targets("fc.*").build();

    static Stream<Arguments> chains() {
        return Stream.of(
                Arguments.of("dense", random(1, 4, 5), labels(),
                        list(InputType.feedForward(5), dense("fc1"), dense("fc2"), output("out"))),
                Arguments.of("adapted output layer", random(1, 4, 5), labels(),
                        list(InputType.feedForward(5), dense("frozen"), dense("fc2"), output("fc_out"))),
                Arguments.of("only the output layer adapted", random(1, 4, 5), labels(),
                        list(InputType.feedForward(5), dense("frozen"), dense("frozen2"), output("fc_out"))),
                Arguments.of("stopped convolution before", random(1, 4, 1, 4, 4), labels(), list(InputType.convolutional(4, 4, 1),
                        new ConvolutionLayer.Builder(2, 2).nOut(2).name("conv")
                        .build(), dense("fc1"), dense("frozen"), output("fc_out"))),
                Arguments.of("flat images through a preprocessor", random(1, 4, 16), labels(),
                        list(InputType.convolutionalFlat(4, 4, 1),
                        new ConvolutionLayer.Builder(2, 2).nOut(2).name("conv").build(), dense("fc1"), output("out"))),
                Arguments.of("sequences", random(1, 2, 5, 4), random(3, 2, 3, 4), list(InputType.recurrent(5), dense("fc1"),
                        new LSTM.Builder().nOut(4).name("lstm").build(), dense("fc2"), rnnOutput("fc_out"))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("chains")
    void gradientsAreProjectionsOfTheStockNetworks(String name, INDArray features, INDArray labels, ListBuilder conf) {
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(conf.build()), FC));
        MultiDataSet data = new MultiDataSet(features, labels);

        Map<String, INDArray> gradients = Gradients.of(adapted, data);

        Gradients.assertProjections(adapted, gradients, Gradients.of(LoRA.merge(adapted), data));
    }

    static Stream<Arguments> chainsThatTrainFromTheFirstLayer() {
        return chains().filter(chain -> List.of("dense", "sequences").contains(chain.get()[0]));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("chainsThatTrainFromTheFirstLayer")
    void calculateGradientsGivesTheInputsGradient(String name, INDArray features, INDArray labels, ListBuilder conf) {
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(conf.build()), FC));

        Pair<Gradient, INDArray> gradients = adapted.calculateGradients(features, labels, null, null);
        Map<String, INDArray> parameters = Gradients.copyOf(gradients.getFirst());

        Pair<Gradient, INDArray> stock = LoRA.merge(adapted).calculateGradients(features, labels, null, null);
        Gradients.assertProjections(adapted, parameters, Gradients.copyOf(stock.getFirst()));
        assertThat(Networks.difference(gradients.getSecond(), stock.getSecond())).isLessThan(1e-12);
    }

    @Test
    void calculateGradientsGivesTheInputsGradientAfterTrainingStepsThatLeftItOut() {
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(list(InputType.feedForward(5), dense("fc1"), output("out"))
                .build()), FC));
        adapted.fit(random(1, 4, 5), labels());

        INDArray gradient = adapted.calculateGradients(random(1, 4, 5), labels(), null, null).getSecond();

        INDArray stock = LoRA.merge(adapted).calculateGradients(random(1, 4, 5), labels(), null, null).getSecond();
        assertThat(Networks.difference(gradient, stock)).isLessThan(1e-12);
    }

    @Test
    void firstAdaptedLayerLeavesTheInputsGradientOutInATrainingStepOnly() {
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(list(InputType.feedForward(5), dense("fc1"), dense("fc2"),
                output("out")).build()), FC));
        InputGradients first = new InputGradients(adapted.getLayer(0));
        adapted.getLayers()[0] = first;

        adapted.fit(random(1, 4, 5), labels());
        adapted.calculateGradients(random(1, 4, 5), labels(), null, null);

        assertThat(first.given).containsExactly(false, true);
    }

    @ParameterizedTest
    @EnumSource(value = WorkspaceMode.class, names = {"NONE", "ENABLED"})
    void externalErrorsGiveTheStockNetworksGradients(WorkspaceMode mode) {
        ListBuilder conf = list(InputType.feedForward(5), dense("fc1"), dense("frozen"), dense("fc2"));
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(conf.build()), FC));
        MultiLayerNetwork stock = LoRA.merge(adapted);
        for (MultiLayerNetwork network : List.of(adapted, stock)) {
            network.getLayerWiseConfigurations().setTrainingWorkspaceMode(mode);
        }

        Pair<Gradient, INDArray> gradients = externalErrors(adapted);
        Pair<Gradient, INDArray> expected = externalErrors(stock);

        Gradients.assertProjections(adapted, Gradients.copyOf(gradients.getFirst()), Gradients.copyOf(expected.getFirst()));
        assertThat(Networks.difference(gradients.getSecond(), expected.getSecond())).isLessThan(1e-12);
    }

    private static Pair<Gradient, INDArray> externalErrors(MultiLayerNetwork network) {
        network.setInput(random(1, 4, 5));
        network.feedForward(true, false);
        return network.backpropGradient(random(9, 4, 5), LayerWorkspaceMgr.noWorkspaces());
    }

    @Test
    void externalErrorsGiveTheStockGraphsGradients() {
        GraphBuilder conf = builder().graphBuilder().addInputs("in").addLayer("fc1", dense(null), "in")
                .addLayer("frozen", dense(null), "fc1")
                .addLayer("fc2", dense(null), "frozen").addLayer("fc3", dense(null), "fc1").setOutputs("fc2", "fc3")
                .setInputTypes(InputType.feedForward(5));
        ComputationGraph base = Networks.of(conf.build());
        ComputationGraph adapted = LoRA.apply(base, FC);
        Networks.randomizeAdapters(adapted.paramTable(), 3);
        ComputationGraph stock = LoRA.merge(adapted);

        Map<String, INDArray> gradients = externalErrors(adapted);

        Gradients.assertProjections(adapted, gradients, externalErrors(stock));
    }

    private static Map<String, INDArray> externalErrors(ComputationGraph graph) {
        graph.feedForward(new INDArray[]{random(1, 4, 5)}, true, false);
        return Gradients.copyOf(graph.backpropGradient(random(9, 4, 5), random(10, 4, 5)));
    }

    @ParameterizedTest(name = "frozen LSTM stopped: {0}")
    @ValueSource(booleans = {true, false})
    void truncatedBackpropagationGivesTheStockNetworksGradientsInEverySegment(boolean stopped) {
        ListBuilder conf = stopped ? list(InputType.recurrent(5), lstm(), dense("fc2"), rnnOutput("fc_out"))
                : list(InputType.recurrent(5), dense("fc1"), lstm(), dense("fc2"), rnnOutput("out"));
        conf.backpropType(BackpropType.TruncatedBPTT).tBPTTLength(3);
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(conf.build()), FC));
        MultiLayerNetwork stock = LoRA.merge(adapted);

        List<Map<String, INDArray>> segments = segmentGradients(adapted);

        List<Map<String, INDArray>> expected = segmentGradients(stock);
        assertThat(segments).hasSize(6).hasSameSizeAs(expected);
        for (int i = 0; i < segments.size(); i++) {
            Gradients.assertProjections(adapted, segments.get(i), expected.get(i));
        }
    }

    /** Two batches of masked sequences of eight steps, three segments each, with a learning rate of zero. */
    private static List<Map<String, INDArray>> segmentGradients(MultiLayerNetwork network) {
        List<Map<String, INDArray>> segments = new ArrayList<>();
        network.setListeners(new BaseTrainingListener() {
            @Override
            public void onGradientCalculation(Model model) {
                segments.add(Gradients.copyOf(model.gradient()));
            }
        });
        network.setLearningRate(0);
        INDArray mask = Nd4j.ones(DataType.DOUBLE, 2, 8);
        mask.get(NDArrayIndex.point(1), NDArrayIndex.interval(7, 8)).assign(0);
        for (int batch = 0; batch < 2; batch++) {
            network.fit(random(batch, 2, 5, 8), random(batch + 5, 2, 3, 8), mask, mask);
        }
        return segments;
    }

    @ParameterizedTest(name = "frozen LSTM stopped: {0}")
    @ValueSource(booleans = {true, false})
    void stateOfAFrozenLstmIsKeptBetweenTimeStepsAndClearedBetweenSequences(boolean stopped) {
        ListBuilder conf = stopped ? list(InputType.recurrent(5), lstm(), dense("fc2"), rnnOutput("out"))
                : list(InputType.recurrent(5), dense("fc1"), lstm(), dense("fc2"), rnnOutput("out"));
        MultiLayerNetwork adapted = adapted(LoRA.apply(Networks.of(conf.build()), FC));
        INDArray sequence = random(1, 2, 5, 4);
        INDArray whole = adapted.output(sequence).dup();

        for (int round = 0; round < 2; round++) {
            for (int step = 0; step < 4; step++) {
                INDArray output = adapted.rnnTimeStep(sequence.get(NDArrayIndex.all(), NDArrayIndex.all(),
                        NDArrayIndex.point(step)).dup());
                INDArray expected = whole.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(step));
                assertThat(Networks.difference(output, expected)).as("round %d, step %d", round, step).isLessThan(1e-12);
            }
            adapted.rnnClearPreviousState();
        }
        adapted.fit(sequence, random(3, 2, 3, 4));
        assertThat(Networks.difference(LoRA.merge(adapted).output(sequence), adapted.output(sequence))).isLessThan(1e-12);
    }

    /** Notes whether a layer gives its input's gradient. */
    private static final class InputGradients extends org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer {

        private final List<Boolean> given = new ArrayList<>();

        InputGradients(org.deeplearning4j.nn.api.Layer layer) {
            super(layer);
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
            Pair<Gradient, INDArray> result = underlying.backpropGradient(epsilon, workspaces);
            given.add(result.getSecond() != null);
            return result;
        }
    }

    private static ListBuilder list(InputType input, org.deeplearning4j.nn.conf.layers.Layer... layers) {
        return builder().list(layers).setInputType(input);
    }

    private static MultiLayerNetwork adapted(MultiLayerNetwork network) {
        Networks.randomizeAdapters(network.paramTable(), 3);
        return network;
    }

    private static DenseLayer dense(String name) {
        return new DenseLayer.Builder().name(name).nOut(5).build();
    }

    private static LSTM lstm() {
        return new LSTM.Builder().nOut(4).name("lstm").build();
    }

    private static RnnOutputLayer rnnOutput(String name) {
        return new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).name(name).build();
    }

    private static INDArray random(long seed, long... shape) {
        return Networks.random(DataType.DOUBLE, seed, shape);
    }

    private static INDArray labels() {
        return Networks.data(DataType.DOUBLE, 4, 7).getLabels();
    }
}
