package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.blas.Blas;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.BaseWrapperVertex;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.lang.reflect.Field;
import java.util.Collections;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Attention on kernels computes what it computes on effective weights or, frozen, in DL4J. */
@Tag("heavy")
class AttentionKernelTest {

    private static final int EXAMPLES = 3;
    private static final int IN = 5;
    private static final int UNITS = 6;
    private static final int STEPS = 7;
    /** Each engine rounds in its own order, and each BLAS on each processor in another: an error of 1e-6 on either side. */
    private static final double FLOAT_ERROR = 2e-6;
    private static final double DOUBLE_ERROR = 1e-12;
    private static final double RATE = 0.05;

    private enum Kind {
        LAYER, ONE_HEAD, VERTEX_OF_ONE_INPUT, VERTEX_OF_THREE_INPUTS;

        /** Below the attention there are layers, so that the gradients of its inputs count. */
        ComputationGraph base(DataType type, WorkspaceMode workspaces) {
            ComputationGraphConfiguration.GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(5).dataType(type)
                    .updater(new Sgd(RATE)).activation(Activation.TANH).trainingWorkspaceMode(workspaces)
                    .inferenceWorkspaceMode(workspaces).graphBuilder().addInputs("in")
                    .addLayer("below", new SimpleRnn.Builder().nOut(UNITS).build(), "in");
            switch (this) {
                case LAYER -> graph.addLayer("attention", new SelfAttentionLayer.Builder().nOut(4).nHeads(2).headSize(3)
                        .projectInput(true).build(), "below");
                case ONE_HEAD -> graph.addLayer("attention", new SelfAttentionLayer.Builder().nOut(UNITS).nHeads(1)
                        .projectInput(true).build(), "below");
                case VERTEX_OF_ONE_INPUT -> graph.addVertex("attention", new AttentionVertex.Builder().nInQueries(UNITS)
                        .nInKeys(UNITS).nInValues(UNITS).nOut(4).nHeads(2).projectInput(true).build(), "below", "below", "below");
                case VERTEX_OF_THREE_INPUTS -> graph.addInputs("told")
                        .addLayer("keys", new LSTM.Builder().nOut(4).build(), "told")
                        .addLayer("values", new LSTM.Builder().nOut(8).build(), "told")
                        .addVertex("attention", new AttentionVertex.Builder().nInQueries(UNITS).nInKeys(4).nInValues(8).nOut(4)
                                .nHeads(2).headSize(5).projectInput(true).build(), "below", "keys", "values");
            }
            graph.addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build(),
                    "attention").setOutputs("out");
            InputType sequence = InputType.recurrent(IN);
            graph.setInputTypes(inputs() == 1 ? new InputType[] {sequence} : new InputType[] {sequence, InputType.recurrent(IN)});
            return Networks.of(graph.build());
        }

        ComputationGraph base(DataType type) {
            return base(type, WorkspaceMode.ENABLED);
        }

        int inputs() {
            return this == VERTEX_OF_THREE_INPUTS ? 2 : 1;
        }

        MultiDataSet data(DataType type, int examples, int steps) {
            INDArray in = Networks.random(type, 1, examples, IN, steps);
            INDArray told = Networks.random(type, 4, examples, IN, steps + 2);
            return new MultiDataSet(inputs() == 1 ? new INDArray[] {in} : new INDArray[] {in, told},
                    new INDArray[] {Networks.random(type, 2, examples, 2, steps)});
        }

        MultiDataSet data(DataType type) {
            return data(type, EXAMPLES, STEPS);
        }

        INDArray[] masks() {
            INDArray mask = Nd4j.createFromArray(new double[][] {{1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 0, 0, 0},
                {0, 0, 1, 1, 1, 1, 0}});
            INDArray told = Nd4j.createFromArray(new double[][] {{1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 0, 0, 0, 0, 0, 0, 0, 0},
                {0, 1, 1, 1, 1, 0, 1, 1, 1}});
            return inputs() == 1 ? new INDArray[] {mask} : new INDArray[] {mask, told};
        }
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(RATE)).targets("below", "attention");
    }

    /** Adapted, and tuned a little; and the same network on effective weights. */
    private record Twins(ComputationGraph kernels, ComputationGraph effective) {

        static Twins of(ComputationGraph base, LoRAConfig config) {
            ComputationGraph kernels = LoRA.apply(base, config);
            tune(kernels, 3);
            assertThat(runsOnKernel(kernels)).isTrue();
            ComputationGraphConfiguration conf = kernels.getConfiguration().clone();
            (conf.getVertices().get("attention") instanceof AdaptedConfiguration vertex ? vertex
                    : (AdaptedConfiguration) ((LayerVertex) conf.getVertices().get("attention"))
                    .getLayerConf().getLayer()).setEngine(Engine.EFFECTIVE_WEIGHTS);
            ComputationGraph effective = new ComputationGraph(conf);
            effective.init(kernels.params().dup(), false);
            assertThat(runsOnKernel(effective)).isFalse();
            return new Twins(kernels, effective);
        }

        void assertSameOutputs(INDArray[] features, double error) {
            Networks.assertClose("output", kernels.outputSingle(features), effective.outputSingle(features), error);
        }

        void assertSameGradients(MultiDataSet data, double error) {
            Gradients.assertSame(kernels, effective, data, error);
        }
    }

    private static void tune(ComputationGraph adapted, int seed) {
        adapted.paramTable().forEach((key, value) -> {
            if (key.endsWith(".B")) {
                value.assign(Networks.random(value.dataType(), seed, value.shape()).muli(0.2));
            }
        });
    }

    private static boolean runsOnKernel(ComputationGraph network) {
        return network.getVertex("attention").hasLayer()
                ? ((BaseWrapperLayer) network.getLayer("attention")).getUnderlying() instanceof AttentionLayer
                : underlying(network.getVertex("attention")) instanceof AttentionNode;
    }

    private static Object underlying(GraphVertex vertex) {
        try {
            Field field = BaseWrapperVertex.class.getDeclaredField("underlying");
            field.setAccessible(true);
            return field.get(vertex);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    private static MultiDataSet masked(MultiDataSet data, INDArray[] masks, boolean ofLabels) {
        return new MultiDataSet(data.getFeatures(), data.getLabels(), masks, ofLabels ? new INDArray[] {masks[0]} : null);
    }

    private static double error(DataType type) {
        return type == DataType.FLOAT ? FLOAT_ERROR : DOUBLE_ERROR;
    }

    @AfterEach
    void useBlasAgain() {
        Blas.use(true);
    }

    @ParameterizedTest
    @EnumSource
    void outputsAndGradientsAreThoseOfEffectiveWeights(Kind kind) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            Twins twins = Twins.of(kind.base(type), config().build());
            for (int[] shape : new int[][] {{EXAMPLES, STEPS}, {1, STEPS}, {EXAMPLES, 1}, {1, 1}, {2, 40}}) {
                MultiDataSet data = kind.data(type, shape[0], shape[1]);
                twins.assertSameOutputs(data.getFeatures(), error(type));
                twins.assertSameGradients(data, 2 * error(type));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void soTheyAreWithoutBlasOfOurOwn(Kind kind) {
        Blas.use(false);
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            Twins twins = Twins.of(kind.base(type), config().build());
            twins.assertSameOutputs(kind.data(type).getFeatures(), error(type));
            twins.assertSameGradients(kind.data(type), 2 * error(type));
        }
    }

    @ParameterizedTest
    @EnumSource
    void masksCountAsOnEffectiveWeights(Kind kind) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            Twins twins = Twins.of(kind.base(type), config().build());
            MultiDataSet data = kind.data(type);
            INDArray[] masks = kind.masks();
            for (boolean ofLabels : new boolean[] {true, false}) {
                twins.assertSameGradients(masked(data, masks, ofLabels), 2 * error(type));
            }
            INDArray[] outputs = new INDArray[2];
            ComputationGraph[] networks = {twins.kernels(), twins.effective()};
            for (int i = 0; i < 2; i++) {
                networks[i].setLayerMaskArrays(masks, new INDArray[] {masks[0]});
                outputs[i] = networks[i].outputSingle(data.getFeatures()).dup();
                networks[i].clearLayerMaskArrays();
            }
            Networks.assertClose("output", outputs[0], outputs[1], error(type));
            twins.assertSameOutputs(data.getFeatures(), error(type));
        }
    }

    /** With one step as well, for which DL4J's own layer gives NaN. */
    @Test
    void oneExampleMayBeMasked() {
        Twins twins = Twins.of(Kind.LAYER.base(DataType.DOUBLE), config().build());
        INDArray[] mask = {Nd4j.createFromArray(new double[][] {{1, 0, 1}})};
        twins.assertSameGradients(masked(Kind.LAYER.data(DataType.DOUBLE, 1, 3), mask, false), 2 * DOUBLE_ERROR);

        MultiDataSet step = Kind.LAYER.data(DataType.DOUBLE, 1, 1);
        Map<String, INDArray> unmasked = Gradients.of(twins.kernels(), step);
        mask[0] = Nd4j.ones(DataType.DOUBLE, 1, 1);
        Gradients.of(twins.kernels(), masked(step, mask, false))
                .forEach((key, gradient) -> Networks.assertClose(key, gradient, unmasked.get(key), DOUBLE_ERROR));
    }

    /** Whoever has nothing to attend to attends to everything alike, or nearly. */
    @ParameterizedTest
    @EnumSource
    void exampleWithoutAStepIsMaskedAsOnEffectiveWeights(Kind kind) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            Twins twins = Twins.of(kind.base(type), config().build());
            INDArray[] masks = kind.masks();
            masks[masks.length - 1].getRow(1).assign(0);
            // Of sums of scores and -1e9 as little is left in DOUBLE as of scores in FLOAT.
            twins.assertSameGradients(masked(kind.data(type), masks, false), type == DataType.FLOAT ? 2 * FLOAT_ERROR : 1e-6);
        }
    }

    @ParameterizedTest
    @EnumSource
    void trainsAsOnEffectiveWeightsAndMergesToTheSame(Kind kind) {
        for (WorkspaceMode workspaces : WorkspaceMode.values()) {
            Twins twins = Twins.of(kind.base(DataType.DOUBLE, workspaces), config().build());
            MultiDataSet data = kind.data(DataType.DOUBLE);
            INDArray before = twins.kernels().params().dup();
            for (int step = 0; step < 3; step++) {
                twins.kernels().fit(data);
                twins.effective().fit(data);
            }
            Networks.assertClose("parameters", twins.kernels().params(), twins.effective().params(), DOUBLE_ERROR);
            assertThat(Networks.difference(twins.kernels().params(), before)).isGreaterThan(1e-3);
            Networks.assertClose("merged", LoRA.merge(twins.kernels()).outputSingle(data.getFeatures()),
                    twins.kernels().outputSingle(data.getFeatures()), DOUBLE_ERROR);
            Networks.assertClose("clone", twins.kernels().clone().outputSingle(data.getFeatures()),
                    twins.kernels().outputSingle(data.getFeatures()), 0);
        }
    }

    @ParameterizedTest
    @EnumSource
    void oneAdaptedMatrixIsEnough(Kind kind) {
        for (String key : new String[] {"Wq", "Wk", "Wv", "Wo"}) {
            Twins twins = Twins.of(kind.base(DataType.DOUBLE), config().targets("below", "attention/" + key).build());
            twins.assertSameOutputs(kind.data(DataType.DOUBLE).getFeatures(), DOUBLE_ERROR);
            twins.assertSameGradients(kind.data(DataType.DOUBLE), 2 * DOUBLE_ERROR);
        }
    }

    @ParameterizedTest
    @EnumSource
    void quantisedMatricesAreTakenAsTheyAre(Kind kind) {
        for (Quantization scheme : Quantization.values()) {
            Twins twins = Twins.of(kind.base(DataType.FLOAT), config().quantize(scheme).build());
            twins.assertSameOutputs(kind.data(DataType.FLOAT).getFeatures(), FLOAT_ERROR);
            twins.assertSameGradients(kind.data(DataType.FLOAT), 2 * FLOAT_ERROR);
            assertThat(LoRA.summary(twins.kernels()).rows()).filteredOn(row -> row.name().startsWith("attention."))
                    .hasSize(4).allSatisfy(row -> assertThat(row.storedAs()).contains(scheme.name()));
        }
    }

    /** It is frozen, above a layer that is adapted and tuned a little. */
    private static ComputationGraph frozen(ComputationGraph base, LoRAConfig.Builder config) {
        ComputationGraph frozen = LoRA.apply(base, config.build());
        tune(frozen, 3);
        assertThat(runsOnKernel(frozen)).isTrue();
        return frozen;
    }

    private static LoRAConfig.Builder below() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(RATE)).targets("below");
    }

    @ParameterizedTest
    @EnumSource
    void frozenItComputesWhatTheStockLayerComputes(Kind kind) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            ComputationGraph base = kind.base(type);
            ComputationGraph frozen = frozen(base, below());
            MultiDataSet data = kind.data(type);
            Networks.assertClose("output", frozen.outputSingle(data.getFeatures()),
                    LoRA.merge(frozen).outputSingle(data.getFeatures()), error(type));
            if (type == DataType.DOUBLE) {
                // Gradients of DL4J's own attention are wrong.
                Gradients.assertEqualFiniteDifferences(frozen, data);
                Gradients.assertEqualFiniteDifferences(frozen, masked(data, kind.masks(), true));
            }
            ComputationGraph embedded = frozen(base, below().storage(FrozenStorage.EMBEDDED));
            Networks.assertSame("inside the vector", embedded.outputSingle(data.getFeatures()),
                    frozen.outputSingle(data.getFeatures()));
            assertThat(embedded.getVertex("attention").paramTable(false))
                    .containsOnlyKeys(base.getVertex("attention").paramTable(false).keySet());
            Networks.assertSame("shown", embedded.getVertex("attention").params(), base.getVertex("attention").params());
            frozen.fit(data);
            embedded.fit(data);
            Networks.assertSame("trained", embedded.outputSingle(data.getFeatures()), frozen.outputSingle(data.getFeatures()));
        }
    }

    @Test
    void aFrozenVertexThatDl4jHidesCannotBeDisabled() {
        ComputationGraph frozen = frozen(Kind.VERTEX_OF_ONE_INPUT.base(DataType.FLOAT), below().targets("out"));
        ComputationGraph hidden = new TransferLearning.GraphBuilder(frozen).setFeatureExtractor("attention").build();

        assertThatThrownBy(() -> LoRA.disabled(hidden)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("\"attention\" cannot be disabled").hasMessageContaining("LoRA.unload");
    }

    /** Frozen alone, and below a layer that trains, so that nothing is kept for a backward pass. */
    @ParameterizedTest
    @EnumSource
    void frozenAloneItComputesWhatTheStockLayerComputes(Kind kind) {
        ComputationGraph base = kind.base(DataType.FLOAT);
        MultiDataSet data = kind.data(DataType.FLOAT);
        ComputationGraph stopped = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("out").build());
        for (ComputationGraph frozen : new ComputationGraph[] {LoRA.freeze(base), stopped}) {
            Networks.assertClose("output", frozen.outputSingle(data.getFeatures()), base.outputSingle(data.getFeatures()),
                    FLOAT_ERROR);
        }
        try (LoRA.Scope scope = LoRA.disabled(stopped)) {
            Networks.assertSame("disabled", stopped.outputSingle(data.getFeatures()), base.outputSingle(data.getFeatures()));
        }
        ComputationGraph tuned = frozen(base, below());
        INDArray enabled = tuned.outputSingle(data.getFeatures()).dup();
        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            Networks.assertSame("disabled", tuned.outputSingle(data.getFeatures()), base.outputSingle(data.getFeatures()));
        }
        Networks.assertSame("enabled", tuned.outputSingle(data.getFeatures()), enabled);
        stopped.fit(data);
    }

    @ParameterizedTest
    @EnumSource
    void frozenItMayBeQuantised(Kind kind) {
        MultiDataSet data = kind.data(DataType.FLOAT);
        for (Quantization scheme : Quantization.values()) {
            ComputationGraph frozen = frozen(kind.base(DataType.FLOAT), below().quantize(scheme));
            assertThat(LoRA.summary(frozen).rows()).filteredOn(row -> row.name().equals("attention")).isNotEmpty()
                    .allSatisfy(row -> assertThat(row.storedAs()).contains(scheme.name()));
            Networks.assertClose("output", frozen.outputSingle(data.getFeatures()),
                    LoRA.merge(frozen).outputSingle(data.getFeatures()), FLOAT_ERROR);
            frozen.fit(data);
            ComputationGraph alone = LoRA.freeze(kind.base(DataType.FLOAT), scheme);
            INDArray expected = alone.outputSingle(data.getFeatures()).dup();
            // In HALF, whose numbers end below those that DL4J adds for masks, its outputs are no numbers.
            INDArray rounded = alone.convertDataType(DataType.BFLOAT16).outputSingle(data.getFeatures());
            Networks.assertClose("in 16 bits, in which DL4J computes", rounded.castTo(DataType.FLOAT), expected, 0.05);
            InputType[] inputs = Collections.nCopies(kind.inputs(), InputType.recurrent(IN, STEPS)).toArray(InputType[]::new);
            assertThat(LoRA.plan(kind.base(DataType.FLOAT), below().quantize(scheme).build(), EXAMPLES, inputs).toString())
                    .isNotEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource
    void disabledItComputesWhatTheBaseComputesBitForBit(Kind kind) {
        ComputationGraph base = kind.base(DataType.FLOAT);
        ComputationGraph adapted = Twins.of(base, config().build()).kernels();
        INDArray[] features = kind.data(DataType.FLOAT).getFeatures();
        INDArray enabled = adapted.outputSingle(features).dup();
        try (LoRA.Scope scope = LoRA.disabled(adapted)) {
            Networks.assertSame("disabled", adapted.outputSingle(features), base.outputSingle(features));
        }
        assertThat(Networks.difference(adapted.outputSingle(features), enabled)).isZero();
    }

    @ParameterizedTest
    @EnumSource(names = {"LAYER", "ONE_HEAD", "VERTEX_OF_ONE_INPUT"})
    void aBankTellsExamplesApart(Kind kind) {
        ComputationGraph base = kind.base(DataType.FLOAT);
        ComputationGraph[] tuned = new ComputationGraph[2];
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            for (int i = 0; i < 2; i++) {
                tuned[i] = LoRA.apply(base, config().targets("attention", "out").exclude("below").build());
                tune(tuned[i], 10 + i);
                bank.add("task" + i, LoRAAdapter.of(tuned[i]));
            }
            INDArray features = kind.data(DataType.FLOAT).getFeatures(0);
            INDArray answer = bank.output(new String[] {"task0", AdapterBank.BASE, "task1"}, features);
            INDArray[] alone = {tuned[0].outputSingle(features), base.outputSingle(features), tuned[1].outputSingle(features)};
            for (int example = 0; example < EXAMPLES; example++) {
                Networks.assertClose("example " + example, row(answer, example), row(alone[example], example), 1e-5);
            }
            assertThat(Networks.difference(row(answer, 0), row(alone[1], 0))).isGreaterThan(1e-3);
        }
    }

    private static INDArray row(INDArray output, int example) {
        return output.get(NDArrayIndex.interval(example, example + 1), NDArrayIndex.all(), NDArrayIndex.all()).dup();
    }

    @Test
    void anotherPassBetweenForwardAndBackwardDoesNoHarm() {
        Twins twins = Twins.of(Kind.LAYER.base(DataType.DOUBLE), config().build());
        INDArray x = Networks.random(DataType.DOUBLE, 6, EXAMPLES, UNITS, STEPS);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 4, EXAMPLES, 4, STEPS);
        MultiDataSet data = Kind.LAYER.data(DataType.DOUBLE);
        ComputationGraph[] networks = {twins.kernels(), twins.effective()};
        INDArray[] dx = new INDArray[2];
        for (int i = 0; i < 2; i++) {
            Gradients.of(networks[i], data);
            LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
            org.deeplearning4j.nn.api.Layer layer = networks[i].getLayer("attention");
            layer.setInput(x.dup(), none);
            layer.activate(true, none);
            layer.activate(false, none);
            dx[i] = layer.backpropGradient(epsilon.dup(), none).getSecond();
        }
        Networks.assertClose("dx", dx[0], dx[1], DOUBLE_ERROR);
    }

    @Test
    void masksAndInputsThatDoNotFitAreRefused() {
        ComputationGraph network = LoRA.apply(Kind.LAYER.base(DataType.DOUBLE), config().build());
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        org.deeplearning4j.nn.api.Layer layer = network.getLayer("attention");
        layer.setMaskArray(Nd4j.ones(DataType.DOUBLE, 2 * EXAMPLES, STEPS));
        layer.setInput(Networks.random(DataType.DOUBLE, 6, EXAMPLES, UNITS, STEPS), none);
        assertThatThrownBy(() -> layer.activate(false, none)).isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContaining("A mask of shape [6, 7] does not fit the input, which has 3 examples and 7 steps");
        layer.setMaskArray(null);
        layer.setInput(Networks.random(DataType.DOUBLE, 6, EXAMPLES, UNITS + 1, STEPS), none);
        assertThatThrownBy(() -> layer.activate(false, none)).isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContainingAll("[3, 7, 7]", "[minibatch, 6, steps]", "layer name: attention");
    }

    @Test
    void whatKernelsDoNotComputeRunsOnEffectiveWeights() {
        ComputationGraph half = LoRA.apply(Kind.LAYER.base(DataType.HALF), config().build());
        assertThat(runsOnKernel(half)).isFalse();
        assertThat(half.outputSingle(Kind.LAYER.data(DataType.HALF).getFeatures(0)).dataType()).isEqualTo(DataType.HALF);
        assertThat(AttentionKernels.exist(new SelfAttentionLayer.Builder().nOut(4).nHeads(1).projectInput(false).nIn(4).build()))
                .isFalse();
    }
}
