package io.github.dl4jlora.internal.recurrent;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.layer.LoRAWrapperLayer;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.layers.recurrent.BidirectionalLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.lang.reflect.Field;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Recurrent layers on kernels compute what they compute on effective weights or, frozen, in DL4J. */
@SuppressWarnings("deprecation")
@Tag("heavy")
class RecurrentKernelTest {

    private static final int EXAMPLES = 3;
    private static final int IN = 5;
    private static final int UNITS = 8;
    private static final int STEPS = 7;
    /** Each engine rounds in its own order, and each BLAS on each processor in another: an error of 1e-6 on either side. */
    private static final double FLOAT_ERROR = 3e-6;
    private static final double DOUBLE_ERROR = 1e-12;
    private static final double RATE = 0.05;

    private enum Kind {
        LSTM(() -> lstm(RNNFormat.NCW)),
        LSTM_CHANNELS_LAST(() -> lstm(RNNFormat.NWC)),
        LSTM_OF_HARD_GATES(() -> new LSTM.Builder().nOut(UNITS).gateActivationFunction(Activation.HARDSIGMOID)
                .activation(Activation.SIGMOID).build()),
        GRAVES(() -> new GravesLSTM.Builder().nOut(UNITS).build()),
        GRAVES_CHANNELS_LAST(() -> new GravesLSTM.Builder().nOut(UNITS).dataFormat(RNNFormat.NWC).build()),
        SIMPLE(() -> new SimpleRnn.Builder().nOut(UNITS).build()),
        SIMPLE_RECTIFIED(() -> new SimpleRnn.Builder().nOut(UNITS).activation(Activation.RELU).build()),
        SIMPLE_CHANNELS_LAST(() -> new SimpleRnn.Builder().nOut(UNITS).activation(Activation.IDENTITY)
                .dataFormat(RNNFormat.NWC).build()),
        BOTH_DIRECTIONS(() -> new Bidirectional(Bidirectional.Mode.CONCAT, lstm(RNNFormat.NCW))),
        SUM_OF_BOTH(() -> new Bidirectional(Bidirectional.Mode.ADD, new GravesLSTM.Builder().nOut(UNITS).build())),
        PRODUCT_OF_BOTH(() -> new Bidirectional(Bidirectional.Mode.MUL, new SimpleRnn.Builder().nOut(UNITS).build())),
        LAST_STEP(() -> new LastTimeStep(lstm(RNNFormat.NCW))),
        LAST_STEP_CHANNELS_LAST(() -> new LastTimeStep(lstm(RNNFormat.NWC))),
        LAST_STEP_OF_BOTH(() -> new LastTimeStep(new Bidirectional(Bidirectional.Mode.CONCAT, lstm(RNNFormat.NCW)))),
        ZEROS_MASKED(() -> new MaskZeroLayer(lstm(RNNFormat.NCW), 0));

        private final Supplier<Layer> layer;

        Kind(Supplier<Layer> layer) {
            this.layer = layer;
        }

        private static LSTM lstm(RNNFormat format) {
            return new LSTM.Builder().nOut(UNITS).dataFormat(format).weightInit(WeightInit.XAVIER).activation(Activation.TANH)
                    .build();
        }

        RNNFormat format() {
            return name().endsWith("CHANNELS_LAST") ? RNNFormat.NWC : RNNFormat.NCW;
        }

        boolean isLast() {
            return name().startsWith("LAST_STEP");
        }

        boolean keepsState() {
            return !isLast() && !name().endsWith("BOTH") && this != BOTH_DIRECTIONS && this != ZEROS_MASKED;
        }

        /** Below the layer there is another one, so that the gradient of its input counts. */
        MultiLayerNetwork base(DataType type, BackpropType backprop, WorkspaceMode workspaces) {
            Layer below = format() == RNNFormat.NWC ? new LSTM.Builder().nOut(IN).dataFormat(RNNFormat.NWC).build()
                    : new SimpleRnn.Builder().nOut(IN).build();
            NeuralNetConfiguration.ListBuilder list = list(type, workspaces).layer(named(below, "below"));
            // SimpleRnn hands down what lay in memory for steps that gradients do not reach.
            list.backpropType(backprop).tBPTTForwardLength(3).tBPTTBackwardLength(isSimple() ? 3 : 2);
            return network(list, 1);
        }

        private static NeuralNetConfiguration.ListBuilder list(DataType type, WorkspaceMode workspaces) {
            return new NeuralNetConfiguration.Builder().seed(5).dataType(type).updater(new Sgd(RATE)).activation(Activation.TANH)
                    .trainingWorkspaceMode(workspaces).inferenceWorkspaceMode(workspaces).list();
        }

        private static Layer named(Layer layer, String name) {
            layer.setLayerName(name);
            return layer;
        }

        private MultiLayerNetwork network(NeuralNetConfiguration.ListBuilder below, double retained) {
            Layer own = named(layer.get(), "rnn");
            if (retained < 1) {
                StockLayers.forEachInside(own, inside -> inside.setIDropout(new Dropout(retained)));
            }
            Layer out = isLast() ? new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build()
                    : new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).dataFormat(format())
                    .build();
            return Networks.of(below.layer(own).layer(named(out, "out"))
                    .setInputType(InputType.recurrent(IN, STEPS, format())).build());
        }

        MultiLayerNetwork base(DataType type) {
            return base(type, BackpropType.Standard, WorkspaceMode.ENABLED);
        }

        /** The layer gets the network's input, and drops half of it. */
        MultiLayerNetwork dropping() {
            return network(list(DataType.DOUBLE, WorkspaceMode.ENABLED), 0.5);
        }

        boolean isSimple() {
            return name().startsWith("SIMPLE");
        }

        DataSet data(DataType type) {
            return data(type, EXAMPLES);
        }

        DataSet data(DataType type, int examples) {
            INDArray features = Networks.random(type, 1, examples, IN, STEPS);
            features.get(NDArrayIndex.point(0), NDArrayIndex.all(), NDArrayIndex.point(2)).assign(0);
            INDArray labels = isLast() ? Networks.random(type, 2, examples, 2) : Networks.random(type, 2, examples, 2, STEPS);
            return new DataSet(inFormat(features), isLast() ? labels : inFormat(labels));
        }

        INDArray inFormat(INDArray sequence) {
            return format() == RNNFormat.NWC ? sequence.permute(0, 2, 1).dup('c') : sequence;
        }
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(RATE)).targets("below", "rnn");
    }

    /** Adapted, and tuned a little; and the same network on effective weights. */
    private record Twins(MultiLayerNetwork kernels, MultiLayerNetwork effective) {

        static Twins of(MultiLayerNetwork base, LoRAConfig config) {
            MultiLayerNetwork kernels = LoRA.apply(base, config);
            kernels.paramTable().forEach((key, value) -> {
                if (key.endsWith(".B")) {
                    value.assign(Networks.random(value.dataType(), 3, value.shape()).muli(0.1));
                }
            });
            assertThat(recurrent(kernels)).isNotEmpty().allSatisfy(layer ->
                    assertThat(innermost(layer)).isInstanceOf(RecurrentKernel.class));
            MultiLayerConfiguration conf = kernels.getLayerWiseConfigurations().clone();
            conf.getConfs().forEach(layer -> {
                if (layer.getLayer() instanceof LoRAWrapperLayer lora) {
                    lora.setEngine(Engine.EFFECTIVE_WEIGHTS);
                }
            });
            MultiLayerNetwork effective = new MultiLayerNetwork(conf);
            effective.init(kernels.params().dup(), false);
            assertThat(recurrent(effective)).noneMatch(layer -> innermost(layer) instanceof RecurrentKernel);
            return new Twins(kernels, effective);
        }

        void assertSameOutputs(INDArray features, double error) {
            Networks.assertClose("output", kernels.output(features), effective.output(features), error);
        }

        void assertSameGradients(MultiDataSet data, double error) {
            Gradients.assertSame(kernels, effective, data, error);
        }
    }

    private static List<org.deeplearning4j.nn.api.Layer> recurrent(MultiLayerNetwork network) {
        return Stream.of(network.getLayers()).filter(layer -> layer.conf().getLayer() instanceof LoRAWrapperLayer).toList();
    }

    private static org.deeplearning4j.nn.api.Layer innermost(org.deeplearning4j.nn.api.Layer layer) {
        return layer instanceof BaseWrapperLayer wrapper ? innermost(wrapper.getUnderlying())
                : layer instanceof BidirectionalLayer both ? innermost(forward(both)) : layer;
    }

    private static org.deeplearning4j.nn.api.Layer forward(BidirectionalLayer both) {
        try {
            Field field = BidirectionalLayer.class.getDeclaredField("fwd");
            field.setAccessible(true);
            return (org.deeplearning4j.nn.api.Layer) field.get(both);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    private static MultiDataSet whole(DataSet data, INDArray mask, boolean ofLabels) {
        INDArray[] masks = mask == null ? null : new INDArray[] {mask};
        return new MultiDataSet(new INDArray[] {data.getFeatures()}, new INDArray[] {data.getLabels()}, masks,
                ofLabels ? masks : null);
    }

    private static double error(DataType type) {
        return type == DataType.FLOAT ? FLOAT_ERROR : DOUBLE_ERROR;
    }

    @ParameterizedTest
    @EnumSource
    void outputsAndGradientsAreThoseOfEffectiveWeights(Kind kind) {
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            Twins twins = Twins.of(kind.base(type), config().build());
            for (int examples : new int[] {EXAMPLES, 1}) {
                DataSet data = kind.data(type, examples);
                twins.assertSameOutputs(data.getFeatures(), error(type));
                twins.assertSameGradients(whole(data, null, false), 2 * error(type));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void masksCountAsOnEffectiveWeights(Kind kind) {
        INDArray mask = Nd4j.createFromArray(new double[][] {{1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 0, 0, 0},
            {0, 0, 1, 1, 1, 1, 0}});
        Twins twins = Twins.of(kind.base(DataType.DOUBLE), config().build());
        DataSet data = kind.data(DataType.DOUBLE);

        Networks.assertClose("output", twins.kernels().output(data.getFeatures(), false, mask, kind.isLast() ? null : mask),
                twins.effective().output(data.getFeatures(), false, mask, kind.isLast() ? null : mask), DOUBLE_ERROR);
        twins.assertSameGradients(whole(data, mask, !kind.isLast()), 2 * DOUBLE_ERROR);
        twins.assertSameGradients(whole(data, mask, false), 2 * DOUBLE_ERROR);
    }

    @ParameterizedTest
    @EnumSource
    void trainsAsOnEffectiveWeightsAndMergesToTheSame(Kind kind) {
        for (WorkspaceMode workspaces : List.of(WorkspaceMode.ENABLED, WorkspaceMode.NONE)) {
            for (BackpropType backprop : BackpropType.values()) {
                if (backprop == BackpropType.TruncatedBPTT && (!kind.keepsState() || kind.format() == RNNFormat.NWC)) {
                    // DL4J looks for steps in the third dimension.
                    continue;
                }
                Twins twins = Twins.of(kind.base(DataType.DOUBLE, backprop, workspaces), config()
                        .bias(BiasTraining.LORA_ONLY).build());
                DataSet data = kind.data(DataType.DOUBLE);
                INDArray before = twins.kernels().params().dup();
                for (int step = 0; step < 3; step++) {
                    twins.kernels().fit(data);
                    twins.effective().fit(data);
                }
                Networks.assertClose("parameters", twins.kernels().params(), twins.effective().params(), 1e-12);
                assertThat(Networks.difference(twins.kernels().params(), before)).isGreaterThan(1e-3);
                Networks.assertClose("merged", LoRA.merge(twins.kernels()).output(data.getFeatures()),
                        twins.kernels().output(data.getFeatures()), 1e-13);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void oneAdaptedMatrixIsEnough(Kind kind) {
        for (String key : new String[] {"W", "RW"}) {
            LoRAConfig one = LoRAConfig.builder().rank(3).targets("rnn/.?" + key).updater(new Sgd(RATE)).build();
            Twins twins = Twins.of(kind.base(DataType.DOUBLE), one);
            twins.assertSameOutputs(kind.data(DataType.DOUBLE).getFeatures(), DOUBLE_ERROR);
            twins.assertSameGradients(whole(kind.data(DataType.DOUBLE), null, false), 2 * DOUBLE_ERROR);
        }
    }

    @ParameterizedTest
    @EnumSource
    void stepsFromStatesThatEffectiveWeightsLeft(Kind kind) {
        if (!kind.keepsState() || kind == Kind.SIMPLE_CHANNELS_LAST) {
            // DL4J's own layer takes the last unit's outputs for its state.
            return;
        }
        Twins twins = Twins.of(kind.base(DataType.DOUBLE), config().build());
        INDArray features = Networks.random(DataType.DOUBLE, 1, EXAMPLES, IN, STEPS);
        for (int step = 0; step < STEPS; step++) {
            INDArray now = kind.inFormat(features.get(NDArrayIndex.all(), NDArrayIndex.all(),
                    NDArrayIndex.interval(step, step + 1)).dup());
            Networks.assertClose("step " + step, twins.kernels().rnnTimeStep(now), twins.effective().rnnTimeStep(now),
                    DOUBLE_ERROR);
            for (int layer = 0; layer < 2; layer++) {
                Map<String, INDArray> state = twins.effective().rnnGetPreviousState(layer);
                Map<String, INDArray> own = twins.kernels().rnnGetPreviousState(layer);
                assertThat(own).containsOnlyKeys(state.keySet());
                own.forEach((key, value) -> Networks.assertClose(key, value, state.get(key), DOUBLE_ERROR));
                twins.kernels().rnnSetPreviousState(layer, state);
                twins.effective().rnnSetPreviousState(layer, own);
            }
        }
        twins.kernels().rnnClearPreviousState();
        assertThat(twins.kernels().rnnGetPreviousState(1)).isEmpty();
    }

    /** Rows that were not there were read from behind the array. */
    @ParameterizedTest
    @EnumSource(names = {"LSTM", "GRAVES"})
    void aPartOfAStateThatIsMissingIsZeroAndOneOfAnotherShapeIsRefused(Kind kind) {
        Twins twins = Twins.of(kind.base(DataType.DOUBLE), config().build());
        INDArray now = Networks.random(DataType.DOUBLE, 1, EXAMPLES, IN, 1);
        INDArray part = Networks.random(DataType.DOUBLE, 2, EXAMPLES, UNITS);
        for (String key : List.of("prevMem", "prevAct")) {
            twins.kernels().rnnSetPreviousState(1, Map.of(key, part));
            String other = key.equals("prevMem") ? "prevAct" : "prevMem";
            twins.effective().rnnSetPreviousState(1, Map.of(key, part, other, Nd4j.zeros(DataType.DOUBLE, EXAMPLES, UNITS)));
            Networks.assertClose(key, twins.kernels().rnnTimeStep(now), twins.effective().rnnTimeStep(now), DOUBLE_ERROR);
            twins.kernels().rnnClearPreviousState();
            twins.effective().rnnClearPreviousState();
        }
        for (long[] shape : new long[][] {{1, UNITS}, {EXAMPLES, UNITS + 5}, {EXAMPLES, UNITS, 1}}) {
            twins.kernels().rnnSetPreviousState(1, Map.of("prevMem", Nd4j.zeros(DataType.DOUBLE, shape), "prevAct", part));
            assertThatThrownBy(() -> twins.kernels().rnnTimeStep(now)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("must be [3, 8]");
            twins.kernels().rnnClearPreviousState();
        }
    }

    @Test
    void stepsOfASimpleLayerWithChannelsLastAreThoseOfTheWholeSequence() {
        MultiLayerNetwork adapted = Twins.of(Kind.SIMPLE_CHANNELS_LAST.base(DataType.DOUBLE), config().build()).kernels();
        INDArray features = Kind.SIMPLE_CHANNELS_LAST.data(DataType.DOUBLE).getFeatures();
        INDArray all = adapted.output(features).dup();
        for (int step = 0; step < STEPS; step++) {
            INDArray now = features.get(NDArrayIndex.all(), NDArrayIndex.interval(step, step + 1), NDArrayIndex.all()).dup();
            Networks.assertClose("step", adapted.rnnTimeStep(now),
                    all.get(NDArrayIndex.all(), NDArrayIndex.interval(step, step + 1),
                    NDArrayIndex.all()), DOUBLE_ERROR);
        }
    }

    @ParameterizedTest
    @EnumSource
    void quantisedMatricesAreTakenAsTheyAre(Kind kind) {
        for (Quantization scheme : Quantization.values()) {
            Twins twins = Twins.of(kind.base(DataType.FLOAT), config().quantize(scheme).build());
            twins.assertSameOutputs(kind.data(DataType.FLOAT).getFeatures(), FLOAT_ERROR);
            twins.assertSameGradients(whole(kind.data(DataType.FLOAT), null, false), 2 * FLOAT_ERROR);
            assertThat(LoRA.summary(twins.kernels()).toString()).contains(scheme.name());
        }
    }

    private static LoRAConfig.Builder below() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(RATE)).targets("below");
    }

    /** The layer itself is frozen, above one that is adapted and tuned a little. */
    private static MultiLayerNetwork frozen(MultiLayerNetwork base, LoRAConfig config) {
        MultiLayerNetwork frozen = LoRA.apply(base, config);
        Networks.randomizeAdapters(frozen.paramTable(), 3);
        assertRunsFrozen(frozen);
        return frozen;
    }

    private static void assertRunsFrozen(MultiLayerNetwork network) {
        assertThat(network.getLayer("rnn").conf().getLayer()).isNotInstanceOf(LoRAWrapperLayer.class);
        assertThat(innermost(network.getLayer("rnn"))).isInstanceOf(RecurrentKernel.class);
    }

    @ParameterizedTest
    @EnumSource
    void frozenItComputesWhatTheStockLayerComputes(Kind kind) {
        INDArray mask = Nd4j.createFromArray(new double[][] {{1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 0, 0, 0},
            {0, 0, 1, 1, 1, 1, 0}});
        for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
            MultiLayerNetwork base = kind.base(type);
            MultiLayerNetwork frozen = frozen(base, below().build());
            MultiLayerNetwork stock = LoRA.merge(frozen);
            DataSet data = kind.data(type);
            Networks.assertClose("output", frozen.output(data.getFeatures()), stock.output(data.getFeatures()), error(type));
            Networks.assertClose("masked", frozen.output(data.getFeatures(), false, mask, kind.isLast() ? null : mask),
                    stock.output(data.getFeatures(), false, mask, kind.isLast() ? null : mask), error(type));
            if (type == DataType.DOUBLE) {
                for (INDArray present : new INDArray[] {null, mask}) {
                    MultiDataSet whole = whole(data, present, !kind.isLast() && present != null);
                    Gradients.assertProjections(frozen, Gradients.of(frozen, whole), Gradients.of(stock, whole));
                }
            }
            MultiLayerNetwork embedded = frozen(base, below().storage(FrozenStorage.EMBEDDED).build());
            Networks.assertSame("inside the vector", embedded.output(data.getFeatures()), frozen.output(data.getFeatures()));
            assertThat(embedded.getLayer("rnn").paramTable()).containsOnlyKeys(base.getLayer("rnn").paramTable().keySet());
            Networks.assertSame("shown", embedded.getLayer("rnn").params(), base.getLayer("rnn").params());
        }
    }

    /** In both networks the layer below trains alone: the others have a rate of 0, which DL4J sets in no Bidirectional. */
    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.MATCH_NONE, names = "BOTH_DIRECTIONS|.*_BOTH")
    void frozenItPassesGradientsBackAsTheStockLayerDoes(Kind kind) {
        for (WorkspaceMode workspaces : List.of(WorkspaceMode.ENABLED, WorkspaceMode.NONE)) {
            for (BackpropType backprop : BackpropType.values()) {
                if (backprop == BackpropType.TruncatedBPTT && (!kind.keepsState() || kind.format() == RNNFormat.NWC)) {
                    // DL4J looks for steps in the third dimension.
                    continue;
                }
                MultiLayerNetwork stock = kind.base(DataType.DOUBLE, backprop, workspaces);
                INDArray before = stock.getLayer("below").params().dup();
                stock.setLearningRate(1, 0);
                stock.setLearningRate(2, 0);
                MultiLayerNetwork frozen = LoRA.apply(stock.clone(), LoRAConfig.builder().rank(2).targets("out")
                        .trainable("below").build());
                assertRunsFrozen(frozen);
                for (int step = 0; step < 3; step++) {
                    frozen.fit(kind.data(DataType.DOUBLE));
                    stock.fit(kind.data(DataType.DOUBLE));
                }
                Networks.assertClose("parameters", frozen.getLayer("below").params(), stock.getLayer("below").params(),
                        DOUBLE_ERROR);
                assertThat(Networks.difference(stock.getLayer("below").params(), before)).isGreaterThan(1e-3);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void frozenItMayBeQuantised(Kind kind) {
        MultiLayerNetwork base = kind.base(DataType.FLOAT);
        DataSet data = kind.data(DataType.FLOAT);
        for (Quantization scheme : Quantization.values()) {
            MultiLayerNetwork frozen = frozen(base, below().quantize(scheme).build());
            assertThat(LoRA.summary(frozen).rows()).filteredOn(row -> row.name().equals("rnn")).isNotEmpty()
                    .allSatisfy(row -> assertThat(row.storedAs()).contains(scheme.name()));
            Networks.assertClose("output", frozen.output(data.getFeatures()), LoRA.merge(frozen).output(data.getFeatures()),
                    FLOAT_ERROR);
            frozen.fit(data);
            MultiLayerNetwork half = LoRA.freeze(base, scheme).convertDataType(DataType.HALF);
            Networks.assertClose("in 16 bits, in which DL4J computes", half.output(data.getFeatures()).castTo(DataType.FLOAT),
                    LoRA.freeze(base, scheme).output(data.getFeatures()), 0.02);
        }
    }

    private static final class OfOnesOwn extends Bidirectional {

        private static final long serialVersionUID = 1L;

        OfOnesOwn() {
            super(new LSTM.Builder().nIn(IN).nOut(UNITS).build());
        }
    }

    /** Whatever a user's subclass computes, DL4J's layer computes it. */
    @Test
    void aUsersBidirectionalIsLeftToDl4j() {
        MultiLayerNetwork base = Networks.of(Kind.list(DataType.FLOAT, WorkspaceMode.ENABLED).layer(new OfOnesOwn())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).build())
                .setInputType(InputType.recurrent(IN, STEPS)).build());
        INDArray features = Kind.LSTM.data(DataType.FLOAT).getFeatures();

        Networks.assertSame("frozen", LoRA.freeze(base).output(features), base.output(features));
    }

    /** Alone, and with a layer that trains above it only, so that nothing is kept for a backward pass. */
    @ParameterizedTest
    @EnumSource
    void frozenAloneItKeepsStatesAsTheStockLayerDoes(Kind kind) {
        MultiLayerNetwork base = kind.base(DataType.FLOAT);
        INDArray features = kind.data(DataType.FLOAT).getFeatures();
        MultiLayerNetwork stopped = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("out").build());
        for (MultiLayerNetwork frozen : List.of(LoRA.freeze(base), stopped)) {
            assertRunsFrozen(frozen);
            Networks.assertClose("output", frozen.output(features), base.output(features), FLOAT_ERROR);
            Networks.assertClose("in training mode", frozen.feedForward(features, true).get(3), base.output(features),
                    FLOAT_ERROR);
            if (kind.keepsState() && kind != Kind.SIMPLE_CHANNELS_LAST) {
                frozen.rnnClearPreviousState();
                base.rnnClearPreviousState();
                for (int step = 0; step < 3; step++) {
                    Networks.assertClose("step " + step, frozen.rnnTimeStep(features), base.rnnTimeStep(features), FLOAT_ERROR);
                }
            }
        }
        try (LoRA.Scope scope = LoRA.disabled(stopped)) {
            Networks.assertSame("disabled", stopped.output(features), base.output(features));
        }
        stopped.fit(kind.data(DataType.FLOAT));
    }

    @ParameterizedTest
    @EnumSource
    void disabledLayersComputeWhatTheBaseComputesBitForBit(Kind kind) {
        MultiLayerNetwork base = kind.base(DataType.FLOAT);
        MultiLayerNetwork adapted = Twins.of(base, config().build()).kernels();
        INDArray features = kind.data(DataType.FLOAT).getFeatures();
        INDArray enabled = adapted.output(features).dup();
        try (AutoCloseable scope = LoRA.disabled(adapted)) {
            Networks.assertSame("output", adapted.output(features), base.output(features));
            if (kind.keepsState() && kind != Kind.SIMPLE_CHANNELS_LAST) {
                for (int step = 0; step < 2; step++) {
                    Networks.assertSame("step " + step, adapted.rnnTimeStep(features), base.rnnTimeStep(features));
                }
            }
        } catch (Exception e) {
            throw new AssertionError(e);
        }
        assertThat(Networks.difference(adapted.output(features), enabled)).isZero();
    }

    @ParameterizedTest
    @EnumSource
    void dropsTheSameInputsAsOnEffectiveWeights(Kind kind) {
        if (kind.format() == RNNFormat.NWC) {
            // DL4J's LSTM forgets in its backward pass what it dropped, its other layers cannot pass gradients on.
            return;
        }
        Twins twins = Twins.of(kind.dropping(), LoRAConfig.builder().rank(2).updater(new Sgd(RATE)).targets("rnn").build());
        DataSet data = kind.data(DataType.DOUBLE);
        Nd4j.getRandom().setSeed(9);
        Map<String, INDArray> expected = Gradients.of(twins.effective(), whole(data, null, false));
        Nd4j.getRandom().setSeed(9);
        Map<String, INDArray> actual = Gradients.of(twins.kernels(), whole(data, null, false));
        actual.forEach((key, gradient) -> Networks.assertClose(key, gradient, expected.get(key), 2 * DOUBLE_ERROR));
    }

    @ParameterizedTest
    @EnumSource(names = {"LSTM", "LSTM_CHANNELS_LAST", "GRAVES", "GRAVES_CHANNELS_LAST", "SIMPLE", "SIMPLE_CHANNELS_LAST"})
    void gradientsOfDroppedInputsAreDropped(Kind kind) {
        MultiLayerNetwork network = LoRA.apply(kind.dropping(), LoRAConfig.builder().rank(2).updater(new Sgd(RATE)).targets("rnn")
                .build());
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        INDArray x = kind.inFormat(Networks.random(DataType.DOUBLE, 1, EXAMPLES, IN, STEPS));
        INDArray output = network.getLayer(0).activate(x.dup(), true, none);
        INDArray dropped = network.getLayer(0).input().dup();
        INDArray dx = network.getLayer(0).backpropGradient(Nd4j.ones(DataType.DOUBLE, output.shape()), none).getSecond();

        assertThat(dropped.eq(0).castTo(DataType.INT32).sumNumber().intValue()).isGreaterThan((int) x.length() / 4);
        assertThat(dx.shape()).containsExactly(x.shape());
        assertThat(dx.mul(dropped.eq(0).castTo(DataType.DOUBLE)).norm2Number().doubleValue()).isLessThan(1e-12)
                .isLessThan(dx.norm2Number().doubleValue());
    }

    @Test
    void masksAndStatesOfOtherExamplesAreRefused() {
        MultiLayerNetwork network = LoRA.apply(Kind.LSTM.base(DataType.DOUBLE), config().build());
        INDArray x = Networks.random(DataType.DOUBLE, 6, EXAMPLES, IN, STEPS);
        LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
        network.getLayer(1).setMaskArray(Nd4j.ones(DataType.DOUBLE, 2 * EXAMPLES, STEPS));
        assertThatThrownBy(() -> network.getLayer(1).activate(x, false, none)).isInstanceOf(DL4JInvalidInputException.class)
                .hasMessageContaining("A mask of shape [6, 7] does not fit the input, which has 3 examples and 7 steps");
        network.getLayer(1).setMaskArray(null);

        network.rnnTimeStep(x);
        assertThatThrownBy(() -> network.rnnTimeStep(Networks.random(DataType.DOUBLE, 6, 1, IN, 1)))
                .hasMessageContaining("rnnClearPreviousState");
        assertThatThrownBy(() -> network.getLayer(1).activate(Networks.random(DataType.DOUBLE, 6, 1, IN + 1, 1), false, none))
                .isInstanceOf(DL4JInvalidInputException.class).hasMessageContaining("must match layer nIn size (nIn = 5)");
    }

    @Test
    void whatKernelsDoNotComputeRunsOnEffectiveWeights() {
        Layer normalised = new SimpleRnn.Builder().nOut(UNITS).hasLayerNorm(true).build();
        Layer soft = new LSTM.Builder().nOut(UNITS).activation(Activation.SOFTSIGN).build();
        Layer gates = new GravesLSTM.Builder().nOut(UNITS).activation(Activation.TANH)
                .gateActivationFunction(Activation.HARDTANH).build();
        for (Layer layer : new Layer[] {normalised, soft, gates, new Bidirectional(soft.clone())}) {
            assertThat(RecurrentKernels.exist(layer)).as("%s", layer).isFalse();
        }
        assertThat(RecurrentKernels.compute(DataType.HALF)).isFalse();
        MultiLayerNetwork half = LoRA.apply(Kind.LSTM.base(DataType.HALF), config().build());
        assertThat(innermost(half.getLayer(1))).isNotInstanceOf(RecurrentKernel.class);
        assertThat(half.output(Kind.LSTM.data(DataType.HALF).getFeatures()).dataType()).isEqualTo(DataType.HALF);
    }

    @Test
    void anotherPassBetweenForwardAndBackwardDoesNoHarm() {
        Twins twins = Twins.of(Kind.LSTM.base(DataType.DOUBLE), config().build());
        DataSet data = Kind.LSTM.data(DataType.DOUBLE);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 4, EXAMPLES, UNITS, STEPS);
        INDArray x = Networks.random(DataType.DOUBLE, 6, EXAMPLES, IN, STEPS);
        MultiDataSet whole = whole(data, null, false);
        Gradients.of(twins.kernels(), whole);
        Gradients.of(twins.effective(), whole);
        INDArray[] dx = new INDArray[2];
        MultiLayerNetwork[] networks = {twins.kernels(), twins.effective()};
        for (int i = 0; i < 2; i++) {
            LayerWorkspaceMgr none = LayerWorkspaceMgr.noWorkspaces();
            org.deeplearning4j.nn.api.Layer layer = networks[i].getLayer(1);
            layer.activate(x.dup(), true, none);
            layer.activate(false, none);
            dx[i] = layer.backpropGradient(epsilon.dup(), none).getSecond();
        }
        Networks.assertClose("dx", dx[0], dx[1], DOUBLE_ERROR);
    }
}
