package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

/** Whatever happens between a forward and a backward pass, gradients are those of a DenseLayer of W + ΔW. */
class KeptBetweenPassesTest {

    static Stream<Arguments> settings() {
        return Stream.of(Engine.FUSED, Engine.SAMEDIFF).flatMap(engine -> Stream.of(WorkspaceMode.ENABLED, WorkspaceMode.NONE)
                .flatMap(mode -> Stream.of(Activation.TANH, Activation.IDENTITY).flatMap(activation -> Stream.of(false, true)
                        .map(norm -> Arguments.of(engine, mode, activation, norm)))));
    }

    private static Twins twins(Engine engine, WorkspaceMode mode, Activation activation, boolean norm, boolean headless) {
        Twins.Recipe recipe = new Twins.Recipe().workspaces(mode).hasLayerNorm(norm)
                .common(builder -> builder.activation(activation)).lora(builder -> builder.engine(engine));
        return (headless ? recipe.headless() : recipe).build();
    }

    @ParameterizedTest
    @MethodSource("settings")
    void gradientsStayRightOverBatchesOfEverySizeWithInferenceInBetween(Engine engine, WorkspaceMode mode, Activation activation,
                                                                         boolean norm) {
        Twins twins = twins(engine, mode, activation, norm, false);
        for (int rows : new int[]{4, 4, 1, 9, 4}) {
            DataSet data = Networks.data(DataType.DOUBLE, rows, rows);

            assertSame(Twins.gradients(twins.lora(), data), twins.expectedGradients(data));
            twins.lora().output(Networks.random(DataType.DOUBLE, 2, 5, Networks.IN));
            assertSame(Twins.gradients(twins.lora(), data), twins.expectedGradients(data));
        }
    }

    @ParameterizedTest
    @MethodSource("settings")
    void externalErrorsGiveTheGradientsOfTheStockNetwork(Engine engine, WorkspaceMode mode, Activation activation, boolean norm) {
        Twins twins = twins(engine, mode, activation, norm, true);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 2, 4, Networks.HIDDEN);
        for (int pass = 0; pass < 2; pass++) {
            INDArray x = Networks.random(DataType.DOUBLE, pass, 4, Networks.IN);

            assertSame(twins, pass(twins.lora(), x, epsilon, layer -> { }), pass(twins.stock(), x, epsilon, layer -> { }));
        }
    }

    @ParameterizedTest
    @MethodSource("settings")
    void inferenceOfTheLayerBetweenForwardAndBackwardDoesNotHarm(Engine engine, WorkspaceMode mode, Activation activation,
            boolean norm) {
        Twins twins = twins(engine, mode, activation, norm, true);
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 2, 4, Networks.HIDDEN);

        Pair<Gradient, INDArray> disturbed = pass(twins.lora(), x, epsilon,
                layer -> layer.activate(false, LayerWorkspaceMgr.noWorkspaces()));

        assertSame(twins, disturbed, pass(twins.stock(), x, epsilon, layer -> { }));
    }

    @ParameterizedTest
    @MethodSource("settings")
    void anotherInputBetweenForwardAndBackwardIsTheOneThatCounts(Engine engine, WorkspaceMode mode, Activation activation,
            boolean norm) {
        Twins twins = twins(engine, mode, activation, norm, true);
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        INDArray other = Networks.random(DataType.DOUBLE, 3, 4, Networks.HIDDEN);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 2, 4, Networks.HIDDEN);

        assertSame(twins, pass(twins.lora(), x, epsilon, layer -> layer.setInput(other, LayerWorkspaceMgr.noWorkspaces())),
                pass(twins.stock(), x, epsilon, layer -> layer.setInput(other, LayerWorkspaceMgr.noWorkspaces())));
    }

    @ParameterizedTest
    @MethodSource("settings")
    void aSecondBackwardPassGivesTheSame(Engine engine, WorkspaceMode mode, Activation activation, boolean norm) {
        Twins twins = twins(engine, mode, activation, norm, true);
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 2, 4, Networks.HIDDEN);

        Pair<Gradient, INDArray> second = pass(twins.lora(), x, epsilon,
                layer -> layer.backpropGradient(epsilon.dup(), LayerWorkspaceMgr.noWorkspaces()));

        assertSame(twins, second, pass(twins.stock(), x, epsilon, layer -> { }));
    }

    /** Forward, something in between, backward with errors from outside. */
    private static Pair<Gradient, INDArray> pass(MultiLayerNetwork network, INDArray x, INDArray epsilon,
            Consumer<Layer> between) {
        network.initGradientsView();
        network.setInput(x);
        network.feedForward(true, false);
        between.accept(network.getLayer(1));
        Pair<Gradient, INDArray> result = network.backpropGradient(epsilon.dup(), LayerWorkspaceMgr.noWorkspaces());
        return new Pair<>(result.getFirst(), result.getSecond().dup());
    }

    private static void assertSame(Twins twins, Pair<Gradient, INDArray> actual, Pair<Gradient, INDArray> expected) {
        assertSame(Twins.copies(actual.getFirst()), twins.byChainRule(Twins.copies(expected.getFirst())));
        assertThat(Networks.difference(actual.getSecond(), expected.getSecond())).isLessThan(1e-12);
    }

    private static void assertSame(Map<String, INDArray> actual, Map<String, INDArray> expected) {
        assertThat(actual).containsOnlyKeys(expected.keySet());
        expected.forEach((key, gradient) ->
                assertThat(Networks.difference(actual.get(key), gradient)).as(key).isLessThan(1e-12));
    }

    /** Evaluates in the middle of training. */
    private static final class Evaluating extends BaseTrainingListener {

        private final INDArray x = Networks.random(DataType.DOUBLE, 9, 5, Networks.IN);
        private final boolean afterForward;

        Evaluating(boolean afterForward) {
            this.afterForward = afterForward;
        }

        @Override
        public void onForwardPass(Model model, List<INDArray> activations) {
            if (afterForward) {
                ((MultiLayerNetwork) model).output(x);
            }
        }

        @Override
        public void iterationDone(Model model, int iteration, int epoch) {
            ((MultiLayerNetwork) model).output(x);
        }
    }

    @ParameterizedTest
    @MethodSource("settings")
    void listenersThatEvaluateAfterEachIterationLeaveTrainingAsItWas(Engine engine, WorkspaceMode mode, Activation activation,
            boolean norm) {
        MultiLayerNetwork watched = twins(engine, mode, activation, norm, false).lora();
        MultiLayerNetwork alone = twins(engine, mode, activation, norm, false).lora();
        watched.setListeners(new Evaluating(false));

        for (int step = 0; step < 3; step++) {
            watched.fit(Networks.data(DataType.DOUBLE, 4, step));
            alone.fit(Networks.data(DataType.DOUBLE, 4, step));
        }

        assertThat(watched.params()).isEqualTo(alone.params());
    }

    /** DL4J clears every layer's input then, and refuses to go on: better that than gradients of another input. */
    @ParameterizedTest
    @EnumSource(value = WorkspaceMode.class, names = {"ENABLED", "NONE"})
    void listenersThatEvaluateBetweenForwardAndBackwardAreRefusedAsInAStockNetwork(WorkspaceMode mode) {
        Twins twins = twins(Engine.FUSED, mode, Activation.TANH, false, false);
        DataSet data = Networks.data(DataType.DOUBLE, 4, 1);
        INDArray before = twins.lora().params().dup();
        twins.stock().setListeners(new Evaluating(true));
        twins.lora().setListeners(new Evaluating(true));

        Throwable stock = catchThrowable(() -> twins.stock().fit(data));
        Throwable lora = catchThrowable(() -> twins.lora().fit(data));

        assertThat(stock).isNotNull();
        assertThat(lora).hasSameClassAs(stock);
        assertThat(twins.lora().params()).isEqualTo(before);
    }
}
