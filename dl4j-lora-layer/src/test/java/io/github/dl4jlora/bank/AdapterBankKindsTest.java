package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Combination;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

/** A bank computes adapters of every kind, alone, mixed, weighted and added up, as networks of their own do. */
class AdapterBankKindsTest {

    private static final double CLOSE = 2e-5;

    private final MultiLayerNetwork base = images();
    private final INDArray input = Networks.random(DataType.FLOAT, 5, 6, 2, 5, 5);

    private static MultiLayerNetwork images() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1))
                .activation(Activation.TANH).list()
                .layer(new ConvolutionLayer.Builder(2, 2).name("conv").nOut(4).build())
                .layer(new DenseLayer.Builder().name("fc").nOut(5).build())
                .layer(new DenseLayer.Builder().name("bare").nOut(5).hasBias(false).hasLayerNorm(true).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(3).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(5, 5, 2)).build());
        network.params().addi(Networks.random(DataType.FLOAT, 1, network.params().shape()).muli(0.1));
        return network;
    }

    private static MultiLayerNetwork tuned(MultiLayerNetwork base, LoRAConfig config, long seed) {
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        tuned.params().addi(Networks.random(DataType.FLOAT, seed, tuned.params().shape()).muli(0.2));
        return tuned;
    }

    private static LoRAConfig.Builder config(String... targets) {
        return LoRAConfig.builder().rank(2).targets(targets);
    }

    private Map<String, MultiLayerNetwork> everyKind() {
        Map<String, UnaryOperator<LoRAConfig.Builder>> kinds = new LinkedHashMap<>();
        kinds.put("plain", c -> c);
        kinds.put("dense alone", c -> config("fc"));
        kinds.put("convolution alone", c -> config("conv").rank(3));
        kinds.put("dora", c -> c.variant(new DoRA()));
        kinds.put("dora from w", c -> config("fc", "bare").variant(new DoRA()).loraInit(LoRAInit.PISSA));
        kinds.put("pissa", c -> config("fc", "out").loraInit(LoRAInit.PISSA));
        kinds.put("olora", c -> config("fc", "bare").loraInit(LoRAInit.OLORA));
        kinds.put("lora-fa", c -> config("fc").variant(new FrozenALoRA()));
        kinds.put("biases", c -> c.bias("lora_only"));
        kinds.put("dora with biases", c -> c.variant(new DoRA()).bias("lora_only"));
        kinds.put("all biases", c -> config("fc").bias("all"));
        kinds.put("head in full", c -> config("fc").trainable("out"));
        Map<String, MultiLayerNetwork> networks = new LinkedHashMap<>();
        kinds.forEach((name, kind) -> networks.put(name, tuned(base, kind.apply(config("conv", "fc", "bare", "out")).build(),
                networks.size() + 10)));
        return networks;
    }

    @Test
    void everyKindAloneAndAllOfThemInOneBatch() {
        Map<String, MultiLayerNetwork> networks = everyKind();
        try (AdapterBank bank = new AdapterBank(base, 2)) {
            networks.forEach((name, network) -> bank.add(name, LoRAAdapter.of(network)));

            networks.forEach((name, network) -> {
                assertThat(bank.output(name, input).distance2(network.output(input))).as(name).isLessThan(CLOSE);
                assertThat(bank.output(name, input).distance2(base.output(input))).as(name).isGreaterThan(1e-2);
            });
            List<String> names = new ArrayList<>(networks.keySet());
            names.add(AdapterBank.BASE);
            for (int round = 0; round < 8; round++) {
                Random random = new Random(round);
                String[] asked = random.ints(input.size(0), 0, names.size()).mapToObj(names::get).toArray(String[]::new);
                requireRows(bank.output(asked, input), asked, networks);
            }
            assertThat(bank.output(AdapterBank.BASE, input).distance2(base.output(input))).isLessThan(CLOSE);
        }
    }

    private void requireRows(INDArray output, String[] asked, Map<String, MultiLayerNetwork> networks) {
        for (int row = 0; row < asked.length; row++) {
            INDArray expected = networks.getOrDefault(asked[row], base).output(input).getRow(row);
            assertThat(output.getRow(row).distance2(expected)).as(asked[row] + " in " + Arrays.toString(asked)).isLessThan(CLOSE);
        }
    }

    @Test
    void quantisedBasesAreServedToo() {
        MultiLayerNetwork stored = LoRA.freeze(base, Quantization.INT8);
        MultiLayerNetwork dora = tuned(stored, config("conv", "fc").variant(new DoRA()).build(), 3);
        MultiLayerNetwork plain = tuned(stored, config("fc", "out").build(), 4);
        try (AdapterBank bank = new AdapterBank(stored, 1)) {
            bank.add("dora", LoRAAdapter.of(dora));
            bank.add("plain", LoRAAdapter.of(plain));

            INDArray output = bank.output(new String[] {"dora", "plain", "dora", AdapterBank.BASE, "plain", "dora"}, input);

            for (int row : new int[] {0, 2, 5}) {
                assertThat(output.getRow(row).distance2(dora.output(input).getRow(row))).isLessThan(CLOSE);
            }
            for (int row : new int[] {1, 4}) {
                assertThat(output.getRow(row).distance2(plain.output(input).getRow(row))).isLessThan(CLOSE);
            }
            assertThat(output.getRow(3).distance2(stored.output(input).getRow(3))).isLessThan(CLOSE);
        }
    }

    @Test
    void aMixIsTheNetworkWithTheWeightedSumOfItsChanges() {
        LoRAAdapter one = LoRAAdapter.of(tuned(base, config("conv", "fc").build(), 1));
        LoRAAdapter two = LoRAAdapter.of(tuned(base, config("fc", "out").rank(3).build(), 2));
        LoRAAdapter sum = LoRAAdapter.combine(Combination.Method.CAT).add(one, 0.7).add(two, -0.3).build();
        LoRAAdapter half = LoRAAdapter.combine(Combination.Method.CAT).add(one, 0.5).build();
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("one", one);
            bank.add("two", two);
            AdapterMix mix = AdapterMix.parse("one:0.7 + two:-0.3");

            INDArray expected = LoRA.apply(base, sum).output(input);
            INDArray halfway = LoRA.apply(base, half).output(input);
            INDArray mixed = bank.output(List.of(mix, AdapterMix.of("one", 0.5), AdapterMix.base(), mix, AdapterMix.of("one", 0),
                    AdapterMix.of("two")), input);

            assertThat(bank.output(mix, input).distance2(expected)).isLessThan(CLOSE);
            assertThat(mixed.getRow(0).distance2(expected.getRow(0))).isLessThan(CLOSE);
            assertThat(mixed.getRow(1).distance2(halfway.getRow(1))).isLessThan(CLOSE);
            assertThat(mixed.getRow(2).distance2(base.output(input).getRow(2))).isLessThan(CLOSE);
            assertThat(mixed.getRow(3).distance2(expected.getRow(3))).isLessThan(CLOSE);
            assertThat(mixed.getRow(4).distance2(base.output(input).getRow(4))).isLessThan(CLOSE);
            assertThat(mixed.getRow(5).distance2(bank.output("two", input).getRow(5))).isLessThan(CLOSE);
        }
    }

    @Test
    void whatDoesMoreThanToAddIsNeitherWeightedNorAdded() {
        try (AdapterBank bank = new AdapterBank(base)) {
            everyKind().forEach((name, network) -> bank.add(name, LoRAAdapter.of(network)));

            for (String name : List.of("dora", "biases", "all biases", "head in full")) {
                assertThatIllegalArgumentException().isThrownBy(() -> bank.output(AdapterMix.of(name, 0.5), input))
                        .withMessageContainingAll("\"" + name + "\"", name + ":0.5", "alone");
                assertThatIllegalArgumentException().isThrownBy(() -> bank.output(AdapterMix.of("plain").plus(name, 1), input))
                        .withMessageContaining("\"" + name + "\"");
            }
            assertThat(bank.output(AdapterMix.of("pissa", 0), input).distance2(base.output(input))).isLessThan(CLOSE);
        }
    }

    @Test
    void replacedAtOnceAndOldOnesStayWhereTheNewOneDoesNotFit() {
        LoRAAdapter one = LoRAAdapter.of(tuned(base, config("fc").build(), 1));
        MultiLayerNetwork two = tuned(base, config("conv").build(), 2);
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.replace("a", one);
            INDArray before = bank.output("a", input);
            MultiLayerNetwork stranger = images();
            stranger.params().addi(1);
            LoRAAdapter strange = LoRAAdapter.of(tuned(stranger, config("fc").build(), 3));

            assertThatIllegalArgumentException().isThrownBy(() -> bank.replace("a", strange)).withMessageContaining("\"fc\"");
            assertThat(bank.output("a", input)).isEqualTo(before);
            assertThatIllegalArgumentException().isThrownBy(() -> bank.add(AdapterBank.BASE, one)).withMessageContaining("base");
            bank.replace("a", LoRAAdapter.of(two));

            assertThat(bank.output("a", input).distance2(two.output(input))).isLessThan(CLOSE);
            assertThat(bank.names()).containsExactly("a");
        }
    }

    @Test
    void theBaseIsVerifiedWhenAsked() {
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.verify();
            base.getParam("1_W").putScalar(0, 7);

            assertThatIllegalStateException().isThrownBy(bank::verify).withMessageContaining("\"fc\"");
        }
        assertThatIllegalArgumentException().isThrownBy(() -> new AdapterBank(LoRA.apply(base, config("fc").build())))
                .withMessageContaining("LoRA.unload");
    }

    @Test
    void recurrentLayersAreComputedOnceForEachAdapter() {
        MultiLayerNetwork sequences = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new EmbeddingSequenceLayer.Builder().name("words").nIn(9).nOut(4).build())
                .layer(new LSTM.Builder().name("lstm").nOut(4).activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(9, 5)).build());
        INDArray words = Nd4j.createFromArray(new int[][] {{1, 2, 3, 4, 5}, {5, 6, 7, 8, 0}, {3, 3, 1, 0, 2}, {8, 1, 8, 1, 8}})
                .castTo(DataType.FLOAT).reshape(4, 1, 5);
        Map<String, MultiLayerNetwork> networks = new LinkedHashMap<>();
        networks.put("lstm", tuned(sequences, config("lstm").build(), 1));
        networks.put("words", tuned(sequences, config("words").build(), 2));
        networks.put("out", tuned(sequences, config("out", "words").variant(new DoRA()).build(), 3));
        try (AdapterBank bank = new AdapterBank(sequences, 1)) {
            networks.forEach((name, network) -> bank.add(name, LoRAAdapter.of(network)));
            for (String[] asked : new String[][] {{"lstm", "words", "out", "words"}, {"out", "words", "words", "out"},
                {"lstm", AdapterBank.BASE, "lstm", "words"}}) {
                INDArray output = bank.output(asked, words);
                for (int row = 0; row < asked.length; row++) {
                    INDArray expected = networks.getOrDefault(asked[row], sequences).output(words).slice(row);
                    assertThat(output.slice(row).distance2(expected)).as(asked[row] + " in " + Arrays.toString(asked))
                            .isLessThan(CLOSE);
                }
            }
        }
    }

    /** DL4J's clone of a MergeVertex drops its axis. */
    @Test
    void networksOfABankMergeAlongTheAxisThatTheBaseDoes() {
        ComputationGraph merging = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1))
                .graphBuilder().addInputs("in").setInputTypes(InputType.recurrent(3, 5, RNNFormat.NWC))
                .addLayer("a", new LSTM.Builder().nOut(4).dataFormat(RNNFormat.NWC).build(), "in")
                .addLayer("b", new LSTM.Builder().nOut(4).dataFormat(RNNFormat.NWC).build(), "in")
                .addVertex("both", new MergeVertex(), "a", "b")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                        .dataFormat(RNNFormat.NWC).build(), "both").setOutputs("out").build());
        ComputationGraph tuned = LoRA.apply(merging, config("out").build());
        tuned.params().addi(0.3);
        INDArray x = Networks.random(DataType.FLOAT, 1, 2, 5, 3);
        try (AdapterBank bank = new AdapterBank(merging, 1)) {
            bank.add("out", LoRAAdapter.of(tuned));

            assertThat(bank.output("out", x).distance2(tuned.outputSingle(x))).isLessThan(CLOSE);
        }
    }

    /** Rows {@code [examples · 3, 4]} between two reshapes: the first example's, then the second's. */
    private static ComputationGraph tokens(boolean pooled) {
        var graph = new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).graphBuilder().addInputs("in")
                .addVertex("rows", new ReshapeVertex('c', new int[] {-1, 4}, null), "in")
                .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(5).activation(new CountedTanh()).build(),
                        "rows");
        if (pooled) {
            graph.addVertex("texts", new ReshapeVertex('c', new int[] {-1, 15}, null), "fc")
                    .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(15).nOut(2).activation(Activation.IDENTITY)
                            .build(), "texts");
        } else {
            graph.addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(5).nOut(2).activation(Activation.IDENTITY)
                    .build(), "fc");
        }
        return Networks.of(graph.setOutputs("out").build());
    }

    @Test
    void rowsThatAreNoExamplesAreComputedOnceForAll() {
        for (boolean pooled : new boolean[] {true, false}) {
            ComputationGraph tokens = tokens(pooled);
            INDArray texts = Networks.random(DataType.FLOAT, 5, 4, 12);
            try (AdapterBank bank = new AdapterBank(tokens, 1)) {
                ComputationGraph one = LoRA.apply(tokens, config("fc", "out").build());
                ComputationGraph two = LoRA.apply(tokens, config("fc").build());
                one.params().addi(0.3);
                two.params().subi(0.2);
                bank.add("one", LoRAAdapter.of(one));
                bank.add("two", LoRAAdapter.of(two));
                String[] asked = {"two", "one", AdapterBank.BASE, "one"};
                bank.output(asked, texts);
                CountedTanh.reset();

                INDArray output = bank.output(asked, texts);

                assertThat(CountedTanh.calls()).as("passes, once the order is known").isEqualTo(1);
                ComputationGraph[] networks = {two, one, tokens, one};
                int each = pooled ? 1 : 3;
                for (int row = 0; row < 4 * each; row++) {
                    assertThat(output.getRow(row).distance2(networks[row / each].outputSingle(texts).getRow(row)))
                            .isLessThan(CLOSE);
                }
            }
        }
    }

    @Test
    void rowsInAnotherOrderAreComputedOnceForEachAdapter() {
        MultiLayerNetwork sequences = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().nOut(4).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().name("fc").nOut(5).activation(new CountedTanh()).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(3)).build());
        INDArray x = Networks.random(DataType.FLOAT, 1, 4, 3, 6);
        try (AdapterBank bank = new AdapterBank(sequences, 1)) {
            MultiLayerNetwork one = tuned(sequences, config("fc").build(), 1);
            MultiLayerNetwork two = tuned(sequences, config("fc").build(), 2);
            bank.add("one", LoRAAdapter.of(one));
            bank.add("two", LoRAAdapter.of(two));
            String[] asked = {"two", "one", "two", "one"};
            // One step: a row is an example, and nothing is to be learned of the order.
            bank.output(asked, Networks.random(DataType.FLOAT, 1, 4, 3, 1));
            bank.output(asked, x);
            CountedTanh.reset();

            INDArray output = bank.output(asked, x);

            assertThat(CountedTanh.calls()).as("passes: no failed attempt").isEqualTo(2);
            for (int row = 0; row < 4; row++) {
                INDArray expected = (row % 2 == 0 ? two : one).output(x).slice(row);
                assertThat(output.slice(row).distance2(expected)).isLessThan(CLOSE);
            }
        }
    }

    @Test
    @SuppressWarnings("deprecation")
    void recurrentLayersOfSeveralAdaptersAreComputedInOnePass() {
        MultiLayerNetwork sequences = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1))
                .activation(Activation.TANH).list()
                .layer(new LSTM.Builder().name("lstm").nOut(4).build())
                .layer(new GravesLSTM.Builder().name("graves").nOut(4).build())
                .layer(new Bidirectional(Bidirectional.Mode.ADD, new SimpleRnn.Builder().name("both").nOut(4).build()))
                .layer(new ActivationLayer(new CountedTanh()))
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(3)).build());
        INDArray x = Networks.random(DataType.FLOAT, 1, 5, 3, 6);
        try (AdapterBank bank = new AdapterBank(sequences, 1)) {
            MultiLayerNetwork one = tuned(sequences, LoRAConfig.builder().rank(2).targets(LayerType.RECURRENT).build(), 1);
            MultiLayerNetwork two = tuned(sequences, config("graves").rank(3).build(), 2);
            bank.add("one", LoRAAdapter.of(one));
            bank.add("two", LoRAAdapter.of(two));
            String[] asked = {"two", "one", AdapterBank.BASE, "one", "two"};
            CountedTanh.reset();

            INDArray output = bank.output(asked, x);

            assertThat(CountedTanh.calls()).as("passes").isEqualTo(1);
            MultiLayerNetwork[] networks = {two, one, sequences, one, two};
            for (int row = 0; row < 5; row++) {
                assertThat(output.slice(row).distance2(networks[row].output(x).slice(row))).as(asked[row]).isLessThan(CLOSE);
            }
        }
    }
}
