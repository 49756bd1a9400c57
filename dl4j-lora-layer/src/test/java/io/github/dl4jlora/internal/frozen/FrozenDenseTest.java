package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.lang.reflect.Field;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** A frozen dense layer between adapted ones takes two products instead of four, and nobody can tell. */
class FrozenDenseTest {

    private static final int FROZEN = 1;
    private static final double TOLERANCE = 1e-12;

    /** Activations in one another's shoes: without derivative, by value, by row; with and without bias; every workspace mode. */
    static Stream<Arguments> settings() {
        return Stream.of(Activation.IDENTITY, Activation.TANH, Activation.SOFTPLUS, Activation.SOFTMAX, Activation.ELU)
                .flatMap(activation -> Stream.of(false, true).flatMap(bias -> Stream.of(WorkspaceMode.ENABLED, WorkspaceMode.NONE)
                        .map(mode -> Arguments.of(activation, bias, mode))));
    }

    private static MultiLayerNetwork base(Activation activation, boolean bias, WorkspaceMode mode, boolean norm) {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE)
                .trainingWorkspaceMode(mode).inferenceWorkspaceMode(mode).updater(new NoOp()).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("below").nIn(Networks.IN).nOut(Networks.HIDDEN).build())
                .layer(new DenseLayer.Builder().name("frozen").nOut(24).activation(activation).hasBias(bias)
                        .hasLayerNorm(norm).build())
                .layer(new DenseLayer.Builder().name("above").nOut(Networks.HIDDEN).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX).build())
                .build());
        network.params().assign(Networks.random(DataType.DOUBLE, 9, network.params().shape()).muli(0.5));
        return network;
    }

    private static MultiLayerNetwork adapted(MultiLayerNetwork base) {
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(2).targets("below", "above")
                .updater(new NoOp()).build());
        Networks.randomizeAdapters(adapted.paramTable(), 4);
        return adapted;
    }

    private static Layer frozen(MultiLayerNetwork adapted) {
        return adapted.getLayer(FROZEN);
    }

    private static OwnArithmetic arithmetic(Layer frozen) {
        return ((FrozenRuntime) frozen).part().arithmetic();
    }

    @ParameterizedTest
    @MethodSource("settings")
    void gradientsBelowEqualFiniteDifferencesForBatchesLowAndHigh(Activation activation, boolean bias, WorkspaceMode mode) {
        MultiLayerNetwork adapted = adapted(base(activation, bias, mode, false));

        assertThat(arithmetic(frozen(adapted))).isInstanceOf(FrozenKernel.class);
        // 3 rows are few enough for column-major results, 40 are not.
        for (int rows : new int[]{3, 40}) {
            Gradients.assertEqualFiniteDifferences(adapted, (MultiDataSet) Networks.data(DataType.DOUBLE, rows, rows)
                    .toMultiDataSet());
            adapted.output(Networks.random(DataType.DOUBLE, 2, 5, Networks.IN));
            Gradients.assertEqualFiniteDifferences(adapted, (MultiDataSet) Networks.data(DataType.DOUBLE, rows, 7)
                    .toMultiDataSet());
        }
    }

    @ParameterizedTest
    @MethodSource("settings")
    void theNetworkComputesWhatItsMergedTwinOfStockLayersComputes(Activation activation, boolean bias, WorkspaceMode mode) {
        MultiLayerNetwork adapted = adapted(base(activation, bias, mode, false));
        INDArray x = Networks.random(DataType.DOUBLE, 2, 40, Networks.IN);

        assertThat(Networks.difference(adapted.output(x), LoRA.merge(adapted).output(x))).isLessThan(TOLERANCE);
        assertThat(Networks.difference(adapted.output(x, true), LoRA.merge(adapted).output(x, true))).isLessThan(TOLERANCE);
    }

    @ParameterizedTest
    @CsvSource({"3", "40"})
    void disabledItComputesWhatTheBaseComputesBitForBit(int rows) {
        MultiLayerNetwork base = base(Activation.TANH, true, WorkspaceMode.ENABLED, false);
        MultiLayerNetwork adapted = adapted(base);
        INDArray x = Networks.random(DataType.DOUBLE, 2, rows, Networks.IN);

        try (LoRA.Scope scope = LoRA.disabled(adapted)) {
            assertThat(adapted.output(x).dup('c').data().asDouble()).isEqualTo(base.output(x).dup('c').data().asDouble());
        }
        assertThat(Networks.difference(adapted.output(x), base.output(x))).isGreaterThan(1e-3);
    }

    @ParameterizedTest
    @CsvSource({"TANH", "IDENTITY"})
    void whateverHappensBetweenForwardAndBackwardTheGradientIsThatOfTheLastInput(Activation activation) {
        MultiLayerNetwork base = base(activation, true, WorkspaceMode.NONE, false);
        Layer frozen = frozen(adapted(base));
        Layer stock = base.getLayer(FROZEN);
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.HIDDEN);
        INDArray other = Networks.random(DataType.DOUBLE, 2, 9, Networks.HIDDEN);
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();

        frozen.activate(x, true, none);
        frozen.activate(false, none);
        assertBackwardAgrees(frozen, stock, x);
        frozen.activate(x, true, none);
        frozen.setInput(other, none);
        assertBackwardAgrees(frozen, stock, other);
        frozen.activate(x, true, none);
        frozen.clear();
        frozen.setInput(x, none);
        assertBackwardAgrees(frozen, stock, x);
    }

    private static void assertBackwardAgrees(Layer frozen, Layer stock, INDArray x) {
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        INDArray epsilon = Networks.random(DataType.DOUBLE, 3, x.size(0), 24);
        stock.setBackpropGradientsViewArray(Nd4j.create(DataType.DOUBLE, 1, stock.numParams()));
        stock.setInput(x, none);

        INDArray expected = stock.backpropGradient(epsilon.dup(), none).getSecond();
        assertThat(Networks.difference(frozen.backpropGradient(epsilon.dup(), none).getSecond(), expected)).isLessThan(TOLERANCE);
    }

    @Test
    void itKeepsNothingForAnIdentityAndNothingAfterTheBackwardPass() throws Exception {
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        INDArray x = Networks.random(DataType.DOUBLE, 1, 4, Networks.HIDDEN);
        Layer identity = frozen(adapted(base(Activation.IDENTITY, true, WorkspaceMode.NONE, false)));
        Layer tanh = frozen(adapted(base(Activation.TANH, true, WorkspaceMode.NONE, false)));

        identity.activate(x, true, none);
        assertThat(kept(identity)).isNull();
        tanh.activate(x, true, none);
        assertThat(kept(tanh)).isNotNull();
        ((FrozenRuntime) tanh).bind();
        assertThat(kept(tanh)).as("when the backward pass begins").isNotNull();
        tanh.backpropGradient(Networks.random(DataType.DOUBLE, 3, 4, 24), none);
        assertThat(kept(tanh)).isNull();
    }

    private static Object kept(Layer layer) throws ReflectiveOperationException {
        Field field = FrozenKernel.class.getDeclaredField("z");
        field.setAccessible(true);
        return field.get(arithmetic(layer));
    }

    @Test
    void layerNormalisationIsTheStockLayersWorkAndMasksAreExact() {
        MultiLayerNetwork normalised = adapted(base(Activation.TANH, true, WorkspaceMode.ENABLED, true));
        assertThat(arithmetic(frozen(normalised))).isNull();

        MultiLayerNetwork adapted = adapted(base(Activation.SOFTPLUS, true, WorkspaceMode.ENABLED, false));
        DataSet masked = Networks.data(DataType.DOUBLE, 5, 3);
        masked.setFeaturesMaskArray(Nd4j.createFromArray(new double[][]{{1}, {0}, {1}, {1}, {0}}));
        Gradients.assertEqualFiniteDifferences(adapted, (MultiDataSet) masked.toMultiDataSet());
    }

    /** DL4J masks what goes into an activation and what comes out. */
    @Test
    void masksThatAreWeightsCountTwiceAsInTheStockLayer() {
        MultiLayerNetwork base = base(Activation.TANH, true, WorkspaceMode.ENABLED, false);
        INDArray x = Networks.random(DataType.DOUBLE, 2, 4, Networks.IN);
        INDArray weights = Nd4j.createFromArray(new double[][]{{0.5}, {0}, {1}, {0.25}});

        assertThat(Networks.difference(LoRA.freeze(base).output(x, false, weights, null), base.output(x, false, weights, null)))
                .isLessThan(TOLERANCE);
    }
}
