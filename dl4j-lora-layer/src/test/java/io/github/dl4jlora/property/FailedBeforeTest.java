package io.github.dl4jlora.property;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.property.Settings.Place;
import io.github.dl4jlora.property.Settings.Which;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Networks that broke a law once: as {@link Search} prints them, each under what was wrong. */
@Tag("heavy")
class FailedBeforeTest {

    /** The settings that failures shrink to. */
    private static final Settings PLAIN = with(Which.PLAIN, BiasTraining.NONE);

    private static final Settings EVA = new Settings(Which.PLAIN, LoRAInit.EVA, 0, BiasTraining.NONE, false, 1.0, Scaling.ALPHA,
            1, Engine.FUSED, Place.SHARED, false);

    private static Settings with(Which variant, BiasTraining bias) {
        return new Settings(variant, LoRAInit.KAIMING_UNIFORM, 0, bias, false, 1.0, Scaling.ALPHA, 1, Engine.FUSED,
                Place.SHARED, false);
    }

    private static LayerSpec layer(Kind kind, Role role, int form, Wrap... wraps) {
        return new LayerSpec(kind, role, form, Activation.IDENTITY, List.of(wraps), false, Join.ALONE);
    }

    private static LayerSpec twins(Kind kind, Join join) {
        return new LayerSpec(kind, Role.FROZEN, 0, Activation.IDENTITY, List.of(), false, join);
    }

    private static Named<NetworkSpec> failed(String defect, boolean graph, Input input, List<LayerSpec> layers, Settings settings,
                                             boolean workspaces, Path path) {
        return failed(defect, graph, input, layers, Head.OUTPUT, settings, workspaces, path);
    }

    private static Named<NetworkSpec> failed(String defect, boolean graph, Input input, List<LayerSpec> layers, Head head,
                                             Settings settings, boolean workspaces, Path path) {
        return Named.of(defect, new NetworkSpec(graph, input, layers, head, Role.FROZEN, settings, 1, false, workspaces,
                DataType.DOUBLE, false, false, path, 1));
    }

    private static Named<NetworkSpec> masked(String defect, Head head, int examples) {
        List<LayerSpec> layers = List.of(layer(Kind.DENSE, Role.FROZEN, 0, Wrap.TIME_DISTRIBUTED));
        return Named.of(defect, new NetworkSpec(false, Input.SEQUENCE, layers, head, Role.FROZEN, PLAIN, examples, true, false,
                DataType.DOUBLE, false, false, Path.CLONE, 1));
    }

    static Stream<Named<NetworkSpec>> networks() {
        return Stream.of(
                failed("a dropout layer hands its input on", false, Input.VOLUME, List.of(layer(Kind.NO_DROPOUT, Role.FROZEN, 0)),
                        PLAIN, true, Path.CLONE),
                failed("a dropout layer below an adapted one hands its input on", false, Input.FLAT,
                        List.of(layer(Kind.DROPOUT, Role.FROZEN, 0), layer(Kind.DENSE, Role.ADAPTED, 0)), PLAIN, true,
                        Path.CLONE),
                failed("a frozen A is drawn again", false, Input.FLAT, List.of(), with(Which.FROZEN_A, BiasTraining.NONE), false,
                        Path.FINE_TUNE),
                failed("the adapter of a layer that DL4J froze is dropped", false, Input.SEQUENCE,
                        List.of(layer(Kind.DENSE, Role.ADAPTED, 0), layer(Kind.DENSE, Role.ADAPTED, 0)), PLAIN, false,
                        Path.FEATURE_EXTRACTOR_ADAPTER),
                failed("a stride above the kernel", false, Input.SEQUENCE, List.of(layer(Kind.CONVOLUTION_1D, Role.ADAPTED, 54)),
                        PLAIN, false, Path.CLONE),
                failed("gradients of a trained SameDiff layer are doubled", false, Input.SEQUENCE,
                        List.of(layer(Kind.LOCALLY_CONNECTED_1D, Role.TRAINED, 0)), PLAIN, false, Path.CLONE),
                failed("a frozen recurrent layer under MaskZero loses its state", false, Input.SEQUENCE,
                        List.of(layer(Kind.LSTM, Role.FROZEN, 0, Wrap.MASK_ZERO)), PLAIN, false, Path.CLONE),
                failed("batch statistics over time", false, Input.SEQUENCE,
                        List.of(layer(Kind.LSTM, Role.ADAPTED, 0), layer(Kind.BATCH_NORM_OVER_TIME, Role.FROZEN, 0)), PLAIN,
                        false, Path.CLONE),
                failed("a running layer keeps the arrays of its first base", false, Input.FLAT, List.of(), PLAIN, false,
                        Path.ATTACH),
                failed("DL4J freezes a frozen layer without parameters", false, Input.FLAT,
                        List.of(layer(Kind.ACTIVATION, Role.FROZEN, 0)), PLAIN, false, Path.FEATURE_EXTRACTOR),
                failed("a layer without parameters that DL4J froze cuts off what trains below, in a graph", true, Input.IMAGE,
                        List.of(layer(Kind.DENSE, Role.ADAPTED, 0), layer(Kind.ACTIVATION, Role.FROZEN, 0, Wrap.FROZEN)), PLAIN,
                        false, Path.CLONE),
                failed("a layer without parameters that DL4J froze cuts off what trains below", false, Input.FLAT,
                        List.of(layer(Kind.DENSE, Role.ADAPTED, 0), layer(Kind.ACTIVATION, Role.FROZEN, 0, Wrap.FROZEN)), PLAIN,
                        false, Path.CLONE),
                failed("DL4J freezes a frozen dense layer", false, Input.FLAT, List.of(layer(Kind.DENSE, Role.FROZEN, 0)), PLAIN,
                        false, Path.FEATURE_EXTRACTOR),
                failed("the biases of a layer that DL4J froze inside a wrapper", false, Input.SEQUENCE,
                        List.of(layer(Kind.LSTM, Role.FROZEN, 0, Wrap.FROZEN, Wrap.MASK_ZERO)),
                        with(Which.PLAIN, BiasTraining.ALL), false, Path.CLONE),
                failed("what trains in full inside a wrapper that froze it", false, Input.SEQUENCE,
                        List.of(layer(Kind.LSTM, Role.TRAINED, 0, Wrap.FROZEN, Wrap.MASK_ZERO)), PLAIN, false, Path.CLONE),
                failed("the trained biases of a layer that DL4J froze", false, Input.FLAT,
                        List.of(layer(Kind.DENSE, Role.FROZEN, 0)), with(Which.PLAIN, BiasTraining.ALL), false,
                        Path.FEATURE_EXTRACTOR_ADAPTER),
                failed("DL4J has no frozen AutoEncoder", false, Input.FLAT, List.of(layer(Kind.AUTO_ENCODER, Role.FROZEN, 0)),
                        PLAIN, false, Path.FEATURE_EXTRACTOR_MERGE),
                failed("DL4J freezes what trained in full", false, Input.FLAT, List.of(layer(Kind.DENSE, Role.TRAINED, 0)), PLAIN,
                        false, Path.FEATURE_EXTRACTOR_ADAPTER),
                failed("DL4J freezes a layer of one vector that trained in full, and shapes it otherwise", false, Input.FLAT,
                        List.of(layer(Kind.ELEMENT_WISE, Role.TRAINED, 0)), PLAIN, false, Path.FEATURE_EXTRACTOR_ADAPTER),
                failed("DL4J freezes a SameDiff layer that trained in full", false, Input.SEQUENCE,
                        List.of(layer(Kind.LOCALLY_CONNECTED_1D, Role.TRAINED, 0)), PLAIN, false, Path.FEATURE_EXTRACTOR),
                failed("a recurrent layer that DL4J does not see", false, Input.SEQUENCE,
                        List.of(layer(Kind.BIDIRECTIONAL, Role.FROZEN, 0, Wrap.FROZEN_WITH_BACKPROP, Wrap.FROZEN)), PLAIN, false,
                        Path.CLONE),
                failed("the SameDiff engine in a graph with workspaces", true, Input.SEQUENCE, List.of(),
                        PLAIN.by(Engine.SAMEDIFF), true, Path.CLONE),
                failed("DL4J has no frozen VariationalAutoencoder", true, Input.FLAT,
                        List.of(layer(Kind.VARIATIONAL_AUTO_ENCODER, Role.TRAINED, 0)), PLAIN, false,
                        Path.FEATURE_EXTRACTOR_MERGE),
                failed("a sequence output layer that comes first", false, Input.SEQUENCE, List.of(), Head.RNN_OUTPUT, PLAIN,
                        false, Path.FINE_TUNE),
                failed("DL4J featurizes two inputs, and rows that are time steps", true, Input.SEQUENCE,
                        List.of(layer(Kind.LSTM, Role.FROZEN, 0), twins(Kind.DENSE, Join.TWIN_ADD)), Head.RNN_OUTPUT, PLAIN,
                        false, Path.FEATURIZED),
                failed("dropout inside DL4J's FrozenLayerWithBackprop above an adapted layer", false, Input.FLAT,
                        List.of(layer(Kind.DENSE, Role.ADAPTED, 0),
                                layer(Kind.DROPOUT, Role.FROZEN, 0, Wrap.FROZEN_WITH_BACKPROP),
                                layer(Kind.DENSE, Role.FROZEN, 0, Wrap.FROZEN)), PLAIN, false, Path.CLONE),
                failed("a vertex is merged beside an adapted layer", true, Input.SEQUENCE,
                        List.of(new LayerSpec(Kind.LSTM, Role.ADAPTED, 0, Activation.IDENTITY, List.of(), false, Join.ATTENTION)),
                        PLAIN, false, Path.PARTIAL_MERGE),
                failed("channels that come last are merged along another axis", true, Input.IMAGE_CHANNELS_LAST,
                        List.of(twins(Kind.CONVOLUTION_2D, Join.TWIN_MERGE)), PLAIN, false, Path.CLONE),
                failed("a plan asks for the updater inside two freezing wrappers", false, Input.FLAT,
                        List.of(layer(Kind.DENSE, Role.FROZEN, 0, Wrap.FROZEN, Wrap.FROZEN_WITH_BACKPROP)), PLAIN, false,
                        Path.CLONE),
                failed("a plan takes the steps in a wrapper for sequences", false, Input.SEQUENCE,
                        List.of(layer(Kind.DENSE, Role.FROZEN, 0, Wrap.TIME_DISTRIBUTED)), PLAIN, false, Path.CLONE),
                failed("a plan of sequences whose length a wrapper forgets", false, Input.SEQUENCE,
                        List.of(layer(Kind.BIDIRECTIONAL, Role.FROZEN, 1, Wrap.MASK_ZERO)), PLAIN, false, Path.CLONE),
                failed("a plan of sequences of which a wrapper lets one step through", false, Input.SEQUENCE,
                        List.of(layer(Kind.BIDIRECTIONAL, Role.FROZEN, 1, Wrap.LAST_TIME_STEP)), PLAIN, false, Path.CLONE),
                failed("a start from data that a plan went before", false, Input.WORD_SEQUENCE,
                        List.of(layer(Kind.DENSE, Role.FROZEN, 0), layer(Kind.LOCALLY_CONNECTED_1D, Role.FROZEN, 0)),
                        EVA, false, Path.CLONE),
                failed("what was loaded moves with a base of equal values", true, Input.FLAT,
                        List.of(layer(Kind.DENSE, Role.ADAPTED, 0), layer(Kind.DENSE, Role.FROZEN, 0)), PLAIN, false,
                        Path.WITHOUT_BASE),
                failed("DL4J writes to a bidirectional layer, which lies in a file", false, Input.SEQUENCE,
                        List.of(layer(Kind.BIDIRECTIONAL, Role.FROZEN, 0)), PLAIN.at(Place.MAPPED), false, Path.CLONE),
                failed("DL4J writes to a bidirectional layer in a wrapper, which lies in a file", true, Input.SEQUENCE,
                        List.of(layer(Kind.BIDIRECTIONAL, Role.FROZEN, 0, Wrap.LAST_TIME_STEP)), PLAIN.at(Place.MAPPED_INT8),
                        false, Path.SAVE_AND_LOAD),
                failed("a base's bidirectional layer shares its dropout with adapted networks", false, Input.SEQUENCE,
                        List.of(new LayerSpec(Kind.BIDIRECTIONAL, Role.ADAPTED, 0, Activation.IDENTITY, List.of(), true,
                                Join.ALONE)), PLAIN, false, Path.CLONE),
                failed("a user's vertex forgets what it holds", true, Input.FLAT, List.of(twins(Kind.DENSE, Join.SCALED)), PLAIN,
                        false, Path.SAVE_AND_LOAD),
                masked("DL4J's TimeDistributed masks one adapter's examples by another's", Head.RNN_OUTPUT, 2),
                masked("DL4J's TimeDistributed masks one caller's examples by another's", Head.OUTPUT, 1),
                Named.of("a plan counts the updater of a layer that DL4J froze inside a wrapper", new NetworkSpec(false,
                        Input.SEQUENCE, List.of(layer(Kind.LSTM, Role.FROZEN, 0, Wrap.FROZEN, Wrap.MASK_ZERO)), Head.OUTPUT,
                        Role.FROZEN, PLAIN, 1, false, false, DataType.DOUBLE, true, false, Path.CLONE, 1)),
                Named.of("DL4J tells gradients of locked gamma and beta in closed memory", new NetworkSpec(false, Input.FLAT,
                        List.of(layer(Kind.BATCH_NORM, Role.TRAINED, 1)), Head.OUTPUT, Role.FROZEN, PLAIN.at(Place.INT8), 2,
                        false, true, DataType.DOUBLE, false, false, Path.CLONE, 1)),
                failed("the gradient of a DoRA on effective weights needs a matrix that is kept in codes", false, Input.WORD,
                        List.of(), with(Which.DORA, BiasTraining.NONE).by(Engine.EFFECTIVE_WEIGHTS).at(Place.MAPPED_INT8), false,
                        Path.CLONE),
                failed("nothing of it can lie in a file", false, Input.IMAGE, List.of(), Head.LOSS, PLAIN.at(Place.MAPPED), false,
                        Path.CLONE),
                failed("an adapter comes back under another engine, whose layers are quantised", false, Input.SEQUENCE,
                        List.of(layer(Kind.CONVOLUTION_1D, Role.ADAPTED, 0)), PLAIN.by(Engine.EFFECTIVE_WEIGHTS).at(Place.INT8),
                        false, Path.FEATURE_EXTRACTOR_ADAPTER),
                Named.of("DL4J clips the score of a cross-entropy, but not its gradient", new NetworkSpec(false, Input.SEQUENCE,
                        List.of(layer(Kind.UPSAMPLING_1D, Role.FROZEN, 0), layer(Kind.RECURRENT_ATTENTION, Role.FROZEN, 0),
                                new LayerSpec(Kind.LOCALLY_CONNECTED_1D, Role.FROZEN, 1, Activation.RELU, List.of(), false,
                                        Join.ALONE), layer(Kind.SIMPLE_RNN, Role.ADAPTED, 0)),
                        Head.RNN_OUTPUT_SIGMOID, Role.ADAPTED,
                        new Settings(Which.PLAIN, LoRAInit.ORTHOGONAL, 2, BiasTraining.NONE, false, 1.0,
                                Scaling.ALPHA_OVER_SQRT_RANK, 3, Engine.EFFECTIVE_WEIGHTS, Place.SHARED, false),
                        2, false, false, DataType.DOUBLE, false, true, Path.SERIALIZER, 496)),
                Named.of("converted to FLOAT, a base in INT8 is multiplied by oneDNN", new NetworkSpec(false, Input.SEQUENCE,
                        List.of(layer(Kind.SIMPLE_RNN, Role.FROZEN, 0)), Head.OUTPUT, Role.FROZEN, PLAIN.at(Place.INT8), 1, false,
                        false, DataType.DOUBLE, false, false, Path.CONVERT_TYPE, 3)),
                Named.of("fine-tuned by DL4J, so of FLOAT, a base in INT8 is multiplied by oneDNN", new NetworkSpec(true,
                        Input.FLAT, List.of(), Head.OUTPUT, Role.FROZEN, PLAIN.at(Place.INT8), 1, false, false, DataType.DOUBLE,
                        false, false, Path.FINE_TUNE, 3)));
    }

    @AfterEach
    void restoreDataType() {
        Nd4j.setDefaultDataTypes(DataType.FLOAT, DataType.FLOAT);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("networks")
    void keepsEveryLaw(NetworkSpec network) {
        Map<Law, Verdict> verdicts = new EnumMap<>(Law.class);
        for (Law law : Law.values()) {
            verdicts.put(law, Verdict.of(law, network));
        }
        assertThat(verdicts.values()).as("%s", verdicts).extracting(Verdict::outcome).contains(Verdict.Outcome.CHECKED)
                .doesNotContain(Verdict.Outcome.FAILED);
    }
}
