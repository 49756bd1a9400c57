package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Sequences of several lengths, and networks of several inputs and outputs, in mixed batches and for many callers. */
@MayHang
class BankMasksTest {

    private static final double CLOSE = 1e-5;
    private static final int EXAMPLES = 6;
    private static final int STEPS = 5;
    private static final String[] NAMES = {"one", AdapterBank.BASE, "two", "one", "two", "one"};

    private static NeuralNetConfiguration.Builder conf() {
        return new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).activation(Activation.TANH);
    }

    private static OutputLayer head(int nIn) {
        return new OutputLayer.Builder(LossFunction.MSE).name("out").nIn(nIn).nOut(2).activation(Activation.IDENTITY).build();
    }

    /** Networks of one input whose answers depend on its mask. */
    private static Model base(String kind) {
        return switch (kind) {
            case "layers" -> Networks.of(conf().list(
                    new Bidirectional(new LSTM.Builder().name("lstm").nOut(4).build()),
                    new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build())
                    .setInputType(InputType.recurrent(3)).build());
            case "pooled layers" -> Networks.of(conf().list(new LSTM.Builder().name("lstm").nOut(4).build(),
                    new DenseLayer.Builder().name("fc").nOut(4).build(), new GlobalPoolingLayer(), head(4))
                    .setInputType(InputType.recurrent(3)).build());
            default -> Networks.of(conf().graphBuilder().addInputs("in")
                    .addLayer("lstm", new LSTM.Builder().nIn(3).nOut(4).build(), "in")
                    .addVertex("last", new LastTimeStepVertex("in"), "lstm")
                    .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(4).build(), "last")
                    .addLayer("out", head(4), "fc").setOutputs("out").build());
        };
    }

    /** A sequence, whose mask counts, and a vector without one; two outputs. */
    private static ComputationGraph twoInputs() {
        return Networks.of(conf().graphBuilder().addInputs("seq", "vec")
                .addLayer("lstm", new LSTM.Builder().nIn(3).nOut(4).build(), "seq")
                .addVertex("last", new LastTimeStepVertex("seq"), "lstm")
                .addLayer("fc", new DenseLayer.Builder().nIn(2).nOut(4).build(), "vec")
                .addVertex("both", new MergeVertex(), "last", "fc")
                .addLayer("out", head(8), "both")
                .addLayer("other", new OutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(3).activation(Activation.IDENTITY)
                        .build(), "fc").setOutputs("out", "other").build());
    }

    @Test
    void anInputTooFewOrTooManyIsRefusedNamingTheInputs() {
        INDArray seq = Networks.random(DataType.FLOAT, 1, EXAMPLES, 3, STEPS);
        INDArray vec = Networks.random(DataType.FLOAT, 2, EXAMPLES, 2);
        try (AdapterBank bank = bank(networks(twoInputs(), "lstm", "out"), BankConfig.builder())) {
            assertRefused(() -> bank.outputs("one", seq), "the inputs [seq, vec], but 1 was given");
            assertRefused(() -> bank.outputs(AdapterBank.BASE, seq, vec, vec), "the inputs [seq, vec], but 3 were given");
            assertThatThrownBy(() -> bank.submit(BankRequest.of("one", vec)).join())
                    .hasCauseInstanceOf(IllegalArgumentException.class).hasMessageContaining("[seq, vec], but 1 was given");
            try (BankSession session = bank.session(AdapterMix.of("one"))) {
                assertRefused(() -> session.outputs(seq), "the inputs [seq, vec], but 1 was given");
            }
        }
        try (AdapterBank bank = new AdapterBank(Networks.trainedLayers(), 1)) {
            INDArray input = Networks.random(DataType.FLOAT, 3, 2, Networks.IN);
            assertRefused(() -> bank.output(AdapterBank.BASE, input, input), "has one input, but 2 were given");
        }
    }

    private static void assertRefused(ThrowingCallable call, String message) {
        assertThatIllegalArgumentException().isThrownBy(call).withMessageContaining(message);
    }

    private static Map<String, Model> networks(Model base, String... targets) {
        Map<String, Model> networks = new LinkedHashMap<>();
        for (String name : List.of("one", "two")) {
            Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets(targets).build());
            Networks.randomizeAdapters(tuned.paramTable(), networks.size() * 50L);
            networks.put(name, tuned);
        }
        networks.put(AdapterBank.BASE, base);
        return networks;
    }

    private static AdapterBank bank(Map<String, Model> networks, BankConfig.Builder config) {
        AdapterBank bank = new AdapterBank(networks.get(AdapterBank.BASE), config.maxNetworks(1).build());
        networks.forEach((name, network) -> {
            if (!name.equals(AdapterBank.BASE)) {
                bank.add(name, LoRAAdapter.of(network));
            }
        });
        return bank;
    }

    private static INDArray mask() {
        INDArray mask = Nd4j.zeros(DataType.FLOAT, EXAMPLES, STEPS);
        for (int i = 0; i < EXAMPLES; i++) {
            mask.get(NDArrayIndex.point(i), NDArrayIndex.interval(0, 1 + i % STEPS)).assign(1);
        }
        return mask;
    }

    private static INDArray row(INDArray array, int row) {
        INDArrayIndex[] indices = new INDArrayIndex[array.rank()];
        Arrays.fill(indices, NDArrayIndex.all());
        indices[0] = NDArrayIndex.interval(row, row + 1);
        return array.get(indices).dup();
    }

    /** What the network of its own computes of one example. */
    private static INDArray[] alone(Model network, int row, INDArray[] inputs, INDArray[] masks) {
        INDArray[] own = Arrays.stream(inputs).map(input -> row(input, row)).toArray(INDArray[]::new);
        INDArray[] ownMasks = Arrays.stream(masks).map(mask -> mask == null ? null : row(mask, row)).toArray(INDArray[]::new);
        return network instanceof ComputationGraph graph ? graph.output(false, own, ownMasks)
                : new INDArray[] {((MultiLayerNetwork) network).output(own[0], false, ownMasks[0], null)};
    }

    private static void requireRow(INDArray[] outputs, int row, int of, Map<String, Model> networks, INDArray[] inputs,
            INDArray[] masks) {
        INDArray[] expected = alone(networks.get(NAMES[of]), of, inputs, masks);
        assertThat(outputs).hasSameSizeAs(expected);
        for (int i = 0; i < expected.length; i++) {
            assertThat(Networks.difference(row(outputs[i], row), expected[i])).as(NAMES[of] + ", example " + of)
                    .isLessThan(CLOSE);
        }
    }

    private static List<AdapterMix> mixes() {
        return Arrays.stream(NAMES).map(AdapterMix::of).toList();
    }

    private static BankRequest example(int i, INDArray[] inputs, INDArray[] masks) {
        return BankRequest.of(NAMES[i], Arrays.stream(inputs).map(input -> row(input, i)).toArray(INDArray[]::new))
                .masks(Arrays.stream(masks).map(mask -> mask == null ? null : row(mask, i)).toArray(INDArray[]::new));
    }

    private static void requireAll(Map<String, Model> networks, INDArray[] inputs, INDArray[] masks) {
        Recorder metrics = new Recorder();
        try (AdapterBank bank = bank(networks, BankConfig.builder().maxBatch(EXAMPLES).maxDelay(Duration.ofDays(1))
                .metrics(metrics))) {
            for (int time = 0; time < 2; time++) {
                INDArray[] mixed = bank.outputs(BankRequest.of(mixes(), inputs).masks(masks));
                List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
                IntStream.range(0, EXAMPLES).forEach(i -> answers.add(bank.submit(example(i, inputs, masks))));
                INDArray[] whole = bank.submit(BankRequest.of(mixes(), inputs).masks(masks)).join();
                for (int i = 0; i < EXAMPLES; i++) {
                    requireRow(mixed, i, i, networks, inputs, masks);
                    requireRow(whole, i, i, networks, inputs, masks);
                    requireRow(answers.get(i).join(), 0, i, networks, inputs, masks);
                    requireRow(bank.outputs(example(i, inputs, masks)), 0, i, networks, inputs, masks);
                }
            }
            assertThat(metrics.count("computed 6 of 3")).isGreaterThanOrEqualTo(6);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"layers", "pooled layers", "graph"})
    void sequencesOfSeveralLengths(String kind) {
        Model base = base(kind);
        INDArray[] inputs = {Networks.random(DataType.FLOAT, 1, EXAMPLES, 3, STEPS)};
        INDArray[] masks = {mask()};
        INDArray masked = alone(base, 0, inputs, masks)[0];
        // DL4J's masks do nothing to the steps of an output.
        assertThat(Networks.difference(masked, alone(base, 0, inputs, new INDArray[] {null})[0]) > 1e-3).as("the mask counts")
                .isEqualTo(masked.rank() == 2);

        requireAll(networks(base, "layers".equals(kind) ? new String[] {"out"} : new String[] {"fc", "out"}), inputs,
                masks);
        requireAll(networks(base, "out"), inputs, masks);
    }

    @Test
    void aMaskForOneOfTwoInputs() {
        ComputationGraph base = twoInputs();
        INDArray[] inputs = {Networks.random(DataType.FLOAT, 1, EXAMPLES, 3, STEPS),
            Networks.random(DataType.FLOAT, 2, EXAMPLES, 2)};

        requireAll(networks(base, "fc", "out"), inputs, new INDArray[] {mask(), null});
        requireAll(networks(base, "other", "lstm"), inputs, new INDArray[] {mask(), null});
        requireAll(networks(base, "fc"), inputs, new INDArray[] {null, null});
    }

    /** With a mask, without one, longer, in another order: each computed with those of its form. */
    @Test
    void requestsWithAndWithoutMasksAtOnce() {
        Map<String, Model> networks = networks(base("graph"), "fc", "out");
        INDArray[] inputs = {Networks.random(DataType.FLOAT, 1, EXAMPLES, 3, STEPS)};
        INDArray[] masks = {mask()};
        INDArray[] none = {null};
        INDArray[] other = {Networks.random(DataType.FLOAT, 7, EXAMPLES, 3, STEPS + 2).dup('f')};
        try (AdapterBank bank = bank(networks, BankConfig.builder())) {
            List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
            for (int i = 0; i < EXAMPLES; i++) {
                answers.add(bank.submit(example(i, inputs, masks)));
                answers.add(bank.submit(example(i, inputs, none)));
                answers.add(bank.submit(example(i, other, none)));
                answers.add(bank.submit(BankRequest.of(NAMES[i], row(inputs[0], i))));
            }
            for (int i = 0; i < EXAMPLES; i++) {
                requireRow(answers.get(4 * i).join(), 0, i, networks, inputs, masks);
                requireRow(answers.get(4 * i + 1).join(), 0, i, networks, inputs, none);
                requireRow(answers.get(4 * i + 2).join(), 0, i, networks, other, none);
                requireRow(answers.get(4 * i + 3).join(), 0, i, networks, inputs, none);
            }
        }
    }

    /** What is wrong with masks, or inputs, is said before it is computed, or to nobody else. */
    @Test
    void badMasksAreRefused() {
        Map<String, Model> networks = networks(base("graph"), "fc");
        INDArray[] inputs = {Networks.random(DataType.FLOAT, 1, EXAMPLES, 3, STEPS)};
        INDArray[] masks = {mask()};
        BankRequest request = BankRequest.of("one", inputs);
        assertThatIllegalArgumentException().isThrownBy(() -> request.masks(mask(), mask()))
                .withMessage("1 input needs 1 mask, but 2 were given. Give null for an input without a mask");
        assertThatIllegalArgumentException().isThrownBy(() -> request.masks(row(mask(), 0)))
                .withMessageContainingAll("6 examples", "has 1");
        try (AdapterBank bank = bank(networks, BankConfig.builder().maxBatch(EXAMPLES))) {
            // Two inputs of the shapes of an input and its mask.
            CompletableFuture<INDArray[]> bad = bank.submit(BankRequest.of("one", row(inputs[0], 0), row(masks[0], 0)));
            CompletableFuture<INDArray[]> good = bank.submit(example(0, inputs, masks));
            CompletableFuture<INDArray[]> tooShort = bank.submit(
                    BankRequest.of("one", row(inputs[0], 0)).masks(Nd4j.ones(DataType.FLOAT, 1, STEPS - 1)));

            requireRow(good.join(), 0, 0, networks, inputs, masks);
            assertThat(bad.handle((outputs, e) -> e).join()).isNotNull();
            assertThat(tooShort.handle((outputs, e) -> e).join()).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("[1, " + (STEPS - 1) + "]", "[1, " + STEPS + "]");
            requireRow(bank.outputs(example(2, inputs, masks)), 0, 2, networks, inputs, masks);
        }
    }

    /** DL4J keeps the masks of a pass that failed, and the next one would compute with them. */
    @ParameterizedTest
    @ValueSource(strings = {"layers", "pooled layers", "graph"})
    void theMaskOfARequestThatFailedIsNobodyElses(String kind) {
        BankRequest right = BankRequest.of(AdapterBank.BASE, Networks.random(DataType.FLOAT, 1, EXAMPLES, 3, STEPS));
        BankRequest wrong = BankRequest.of(AdapterBank.BASE, Networks.random(DataType.FLOAT, 1, EXAMPLES, 4, STEPS))
                .masks(mask());
        try (AdapterBank bank = new AdapterBank(base(kind), BankConfig.builder().maxNetworks(1).build())) {
            INDArray expected = bank.outputs(right)[0].dup();

            assertThatThrownBy(() -> bank.outputs(wrong)).hasMessageContaining("4");
            assertThat(Networks.difference(bank.outputs(right)[0], expected)).isLessThan(CLOSE);
            assertThat(bank.submit(wrong).handle((outputs, e) -> e).join()).isNotNull();
            assertThat(Networks.difference(bank.submit(right).join()[0], expected)).isLessThan(CLOSE);
        }
    }

    /** The caller's arrays of arrays are the caller's. */
    @Test
    void aRequestKeepsTheArraysThatItWasMadeOf() {
        Map<String, Model> networks = networks(base("graph"), "fc");
        INDArray[] inputs = {Networks.random(DataType.FLOAT, 1, 1, 3, STEPS)};
        INDArray[] masks = {row(mask(), 0)};
        BankRequest request = BankRequest.of("one", inputs).masks(masks);
        INDArray[] expected = LoRA.apply((ComputationGraph) networks.get(AdapterBank.BASE), LoRAAdapter.of(networks.get("one")))
                .output(false, inputs.clone(), masks.clone());
        inputs[0] = null;
        masks[0] = null;
        try (AdapterBank bank = bank(networks, BankConfig.builder())) {
            assertThat(Networks.difference(bank.outputs(request)[0], expected[0])).isLessThan(CLOSE);
            assertThat(Networks.difference(bank.submit(request).join()[0], expected[0])).isLessThan(CLOSE);
        }
    }

    private static MultiLayerNetwork sequences(RNNFormat format, Layer... layers) {
        return Networks.of(conf().list(layers).setInputType(InputType.recurrent(5, 4, format)).build());
    }

    private static LSTM.Builder lstm() {
        return new LSTM.Builder().nOut(6);
    }

    /** Networks that DL4J has compute with masks of other lengths, or fail in words of arrays. */
    private static Stream<Arguments> networksOfSequences() {
        return Stream.of(
                Arguments.of("bidirectional", RNNFormat.NCW, sequences(RNNFormat.NCW, new Bidirectional(lstm().build()),
                        new GlobalPoolingLayer(), head(12))),
                Arguments.of("pooled", RNNFormat.NCW, sequences(RNNFormat.NCW, lstm().build(), new GlobalPoolingLayer(),
                        head(6))),
                Arguments.of("last step", RNNFormat.NCW, sequences(RNNFormat.NCW, lstm().build(),
                        new LastTimeStep(lstm().build()), head(6))),
                Arguments.of("last step alone", RNNFormat.NCW, sequences(RNNFormat.NCW, new LastTimeStep(lstm().build()),
                        head(6))),
                Arguments.of("last step NWC", RNNFormat.NWC, sequences(RNNFormat.NWC, new LastTimeStep(
                        lstm().dataFormat(RNNFormat.NWC).build()), head(6))),
                Arguments.of("convolution", RNNFormat.NCW, sequences(RNNFormat.NCW, new Convolution1DLayer.Builder().nOut(6)
                        .kernelSize(1).build(), new GlobalPoolingLayer(), head(6))),
                Arguments.of("dense", RNNFormat.NCW, sequences(RNNFormat.NCW, new DenseLayer.Builder().nOut(6).build(),
                        new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())));
    }

    @ParameterizedTest
    @MethodSource("networksOfSequences")
    void aMaskOfAWrongLengthIsRefused(String name, RNNFormat format, MultiLayerNetwork base) {
        INDArray input = format == RNNFormat.NWC ? Networks.random(DataType.FLOAT, 1, 2, 4, 5)
                : Networks.random(DataType.FLOAT, 1, 2, 5, 4);
        for (Model served : List.of(base, LoRA.freeze(base))) {
            try (AdapterBank bank = new AdapterBank(served, BankConfig.builder().maxNetworks(1).maxBatch(1).build())) {
                BankRequest right = BankRequest.of(AdapterBank.BASE, input).masks(Nd4j.ones(DataType.FLOAT, 2, 4));
                assertThat(Networks.difference(bank.outputs(right)[0], base.output(input, false,
                        Nd4j.ones(DataType.FLOAT, 2, 4), null))).isLessThan(CLOSE);
                for (long[] shape : new long[][] {{2, 3}, {2, 5}, {2, 1}, {2, 8}, {2, 4, 1}, {2, 1, 4}, {2}}) {
                    BankRequest wrong = BankRequest.of(AdapterBank.BASE, input).masks(Nd4j.ones(DataType.FLOAT, shape));
                    assertThatIllegalArgumentException().as(name + Arrays.toString(shape)).isThrownBy(() -> bank.outputs(wrong))
                            .withMessageContainingAll("mask of input 0", Arrays.toString(shape), Arrays.toString(input.shape()),
                                    "[2, 4]: a number for each example and step");
                    assertThat(bank.submit(wrong).handle((outputs, e) -> e).join()).isInstanceOf(IllegalArgumentException.class);
                    assertThatIllegalArgumentException().isThrownBy(() -> bank.outputs(BankRequest.of(List.of(AdapterMix.base(),
                            AdapterMix.base()), input).masks(Nd4j.ones(DataType.FLOAT, shape))));
                }
                assertThatIllegalArgumentException().isThrownBy(() -> right.masks(Nd4j.scalar(1f)))
                        .withMessageContaining("2 examples");
            }
        }
    }

    @Test
    void aGraphIsAskedForEachOfItsInputs() {
        ComputationGraph base = twoInputs();
        INDArray[] inputs = {Networks.random(DataType.FLOAT, 1, 2, 3, STEPS), Networks.random(DataType.FLOAT, 2, 2, 2)};
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            BankRequest request = BankRequest.of(AdapterBank.BASE, inputs);
            bank.outputs(request.masks(Nd4j.ones(DataType.FLOAT, 2, STEPS), null));

            INDArray wrong = Nd4j.ones(DataType.FLOAT, 2, 3);
            assertThatIllegalArgumentException().isThrownBy(() -> bank.outputs(request.masks(wrong, null)))
                    .withMessageContainingAll("input 0", "[2, 3]", "[2, 5]");
            assertThatIllegalArgumentException().isThrownBy(() -> bank.outputs(request.masks(null, wrong)))
                    .withMessageContainingAll("input 1", "[2, 3]", "[2, 2]", "[2, 1]");
        }
    }
}
