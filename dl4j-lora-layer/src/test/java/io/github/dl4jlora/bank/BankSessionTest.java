package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Supplier;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Sequences step by step: as many networks' rnnTimeStep, from one bank. */
class BankSessionTest {

    private static final double CLOSE = 1e-5;

    /** Recurrent networks, two recurrent layers each, and what adapters change of them. */
    enum Kind {
        LSTM_LAYERS(false, "r1", "out"), LSTM_GRAPH(true, "r1", "r2"), FROZEN_LSTM(false, "out"), FROZEN_GRAPH(true, "out"),
        SIMPLE(false, "r1", "r2", "out"), SIMPLE_GRAPH(true, "r2"), GRAVES(false, "r1", "r2"), GRAVES_GRAPH(true, "out"),
        WRAPPED(false, "r2", "out"), QUANTISED(false, "r1", "out"), QUANTISED_GRAPH(true, "out");

        private final boolean graph;
        private final String[] targets;

        Kind(boolean graph, String... targets) {
            this.graph = graph;
            this.targets = targets;
        }

        private Layer layer(int nIn) {
            return switch (this) {
                case SIMPLE, SIMPLE_GRAPH -> new SimpleRnn.Builder().nIn(nIn).nOut(4).activation(Activation.TANH).build();
                case GRAVES, GRAVES_GRAPH -> new GravesLSTM.Builder().nIn(nIn).nOut(4).activation(Activation.TANH).build();
                case WRAPPED -> nIn == 3 ? new FrozenLayer(new LSTM.Builder().nIn(nIn).nOut(4).build())
                        : new LSTM.Builder().nIn(nIn).nOut(4).build();
                default -> new LSTM.Builder().nIn(nIn).nOut(4).activation(Activation.TANH).build();
            };
        }

        Model base() {
            Layer first = named(layer(3), "r1");
            Layer second = named(layer(4), "r2");
            Layer out = new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nIn(4).nOut(2).activation(Activation.IDENTITY)
                    .build();
            NeuralNetConfiguration.Builder conf = new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1));
            Model network = graph
                    ? Networks.of(conf.graphBuilder().addInputs("in").addLayer("r1", first, "in")
                            .addLayer("r2", second, "r1").addLayer("out", out, "r2").setOutputs("out").build())
                    : Networks.of(conf.list(first, second, out).setInputType(InputType.recurrent(3)).build());
            return this == QUANTISED || this == QUANTISED_GRAPH ? Models.freeze(network, Quantization.INT8) : network;
        }

        private static Layer named(Layer layer, String name) {
            layer.setLayerName(name);
            return layer;
        }

        Model tuned(Model base, long seed) {
            Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets(targets).build());
            Networks.randomizeAdapters(tuned.paramTable(), seed);
            return tuned;
        }
    }

    private static INDArray input(long seed, long... shape) {
        return Networks.random(DataType.FLOAT, seed, shape);
    }

    private static void requireStep(BankSession session, Model network, INDArray input) {
        INDArray actual = session.output(input.dup());
        INDArray expected = Models.timeStep(network, input.dup());
        assertThat(actual.shape()).isEqualTo(expected.shape());
        assertThat(Networks.difference(actual, expected)).isLessThan(CLOSE);
    }

    @ParameterizedTest
    @EnumSource
    void interleavedSessionsAreNetworksOfTheirOwn(Kind kind) {
        Model base = kind.base();
        Model one = kind.tuned(base, 1);
        Model two = kind.tuned(base, 20);
        // DL4J's clone puts a frozen layer into another, in which it finds no state.
        Model bare = kind.base();
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("one", LoRAAdapter.of(one));
            bank.add("two", LoRAAdapter.of(two));
            try (BankSession first = bank.session(AdapterMix.of("one")); BankSession second = bank.session(AdapterMix.of("two"));
                    BankSession third = bank.session(AdapterMix.base()); BankSession again = bank.session(AdapterMix.of("one"))) {
                for (int t = 0; t < 4; t++) {
                    requireStep(first, one, input(t, 2, 3));
                    requireStep(second, two, input(10 + t, 3, 3, 2));
                    requireStep(third, bare, input(20 + t, 1, 3, 1));
                    bank.output("two", input(30, 2, 3, 4));
                    bank.output(new String[] {"one", "two"}, input(31, 2, 3, 4));
                }
                INDArray start = again.output(input(0, 2, 3));
                Model fresh = Models.with(base, LoRAAdapter.of(one));
                assertThat(Networks.difference(start, Models.timeStep(fresh, input(0, 2, 3)))).as("a state of its own")
                        .isLessThan(CLOSE);
                assertThat(Networks.difference(bank.output("one", input(31, 2, 3, 4)), Models.output(fresh, input(31, 2, 3, 4))))
                        .as("requests have no state").isLessThan(CLOSE);
            }
        }
    }

    @Test
    void stateCountsAndResetForgetsIt() {
        Model base = Kind.LSTM_LAYERS.base();
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("a", LoRAAdapter.of(Kind.LSTM_LAYERS.tuned(base, 1)));
            try (BankSession session = bank.session(AdapterMix.of("a"))) {
                INDArray x = input(1, 2, 3);
                INDArray first = session.output(x);
                assertThat(Networks.difference(session.output(x), first)).isGreaterThan(1e-4);
                session.reset();

                assertThat(Networks.difference(session.output(x), first)).isLessThan(1e-6);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"LSTM_LAYERS", "LSTM_GRAPH", "SIMPLE"})
    void otherExamplesInTheMiddleAreRefusedAndTheStateStays(Kind kind) {
        Model base = kind.base();
        Model tuned = kind.tuned(base, 1);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("a", LoRAAdapter.of(tuned));
            try (BankSession session = bank.session(AdapterMix.of("a"))) {
                requireStep(session, tuned, input(1, 2, 3));

                assertThatThrownBy(() -> session.output(input(1, 3, 3))).isInstanceOf(RuntimeException.class);
                assertThatThrownBy(() -> session.output(input(1, 2, 4))).isInstanceOf(RuntimeException.class);
                assertThatThrownBy(() -> session.output(input(1, 2, 3), input(1, 2, 3))).isInstanceOf(RuntimeException.class);
                assertThatThrownBy(session::output).isInstanceOf(RuntimeException.class);

                requireStep(session, tuned, input(2, 2, 3));
                session.reset();
                Model fresh = Models.with(base, LoRAAdapter.of(tuned));
                requireStep(session, fresh, input(3, 5, 3));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"LSTM_LAYERS", "LSTM_GRAPH", "FROZEN_LSTM"})
    void aSessionKeepsTheAdaptersThatItBeganWith(Kind kind) {
        Model base = kind.base();
        Model one = kind.tuned(base, 1);
        AdapterBank bank = new AdapterBank(base, 1);
        bank.add("a", LoRAAdapter.of(one));
        BankSession session = bank.session(AdapterMix.of("a"));
        requireStep(session, one, input(1, 2, 3));
        bank.replace("a", LoRAAdapter.of(kind.tuned(base, 20)));
        requireStep(session, one, input(2, 2, 3));
        bank.remove("a");
        requireStep(session, one, input(3, 2, 3));
        bank.close();
        requireStep(session, one, input(4, 2, 3));
        assertThatIllegalStateException().isThrownBy(() -> bank.session(AdapterMix.base())).withMessageContaining("closed");

        session.close();

        assertThatIllegalStateException().isThrownBy(() -> session.output(input(1, 2, 3))).withMessageContaining("session");
        session.reset();
        session.close();
        assertThat(bank.status().networks()).isZero();
    }

    @Test
    void aMixHasSessionsToo() {
        Model base = Kind.LSTM_GRAPH.base();
        LoRAAdapter one = LoRAAdapter.of(Kind.LSTM_GRAPH.tuned(base, 1));
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("one", one);
            INDArray x = input(1, 2, 3, 5);
            INDArray whole = bank.output(AdapterMix.of("one", 0.5), x);
            try (BankSession session = bank.session(AdapterMix.of("one", 0.5))) {
                assertThat(Networks.difference(session.output(x), whole)).isLessThan(CLOSE);
            }
            assertThatIllegalArgumentException().isThrownBy(() -> bank.session(AdapterMix.of("two")))
                    .withMessageContaining("\"two\"");
        }
    }

    /** Nothing is kept from one step to the next. */
    @Test
    void networksWithoutRecurrentLayersAreFedTheSame() {
        for (Models.Kind kind : Map.of(true, Models.Kind.GRAPH_SHARED, false, Models.Kind.LAYERS_SHARED).values()) {
            Model base = kind.base();
            Model tuned = kind.adapt(base);
            Networks.randomizeAdapters(tuned.paramTable(), 1);
            INDArray x = Networks.random(DataType.FLOAT, 1, 3, Networks.IN);
            try (AdapterBank bank = new AdapterBank(base, 1)) {
                bank.add("a", LoRAAdapter.of(tuned));
                try (BankSession session = bank.session(AdapterMix.of("a"))) {
                    for (int time = 0; time < 2; time++) {
                        assertThat(Networks.difference(session.output(x), Models.output(tuned, x))).isLessThan(CLOSE);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void whatAFunctionLeavesInANetworkReachesNoOtherSession(Kind kind) {
        Model base = kind.base();
        INDArray step = Networks.random(DataType.FLOAT, 5, 2, 3);
        try (AdapterBank bank = new AdapterBank(base, 1); BankSession one = bank.session(AdapterMix.base());
                BankSession other = bank.session(AdapterMix.base())) {
            INDArray first = other.output(step);
            other.reset();

            one.compute(network -> Models.timeStep(network, step.mul(3)));

            assertThat(other.output(step)).isEqualTo(first);
        }
    }

    @Test
    void aFunctionIsLentANetworkWithTheSessionsAdapters() {
        ComputationGraph base = (ComputationGraph) Kind.LSTM_GRAPH.base();
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("r1").build());
        tuned.params().addi(0.2);
        Nd4j.getRandom().setSeed(1);
        INDArray input = Nd4j.rand(DataType.FLOAT, 2, 3, 5);
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("tone", LoRAAdapter.of(tuned));
            BankSession session = bank.session(AdapterMix.of("tone"));
            bank.remove("tone");

            INDArray output = session.compute(network -> ((ComputationGraph) network).outputSingle(input));
            assertThat(output.distance2(tuned.outputSingle(input))).isLessThan(CLOSE);
            assertThat(output.distance2(base.outputSingle(input))).isGreaterThan(0.01);
            session.close();
            assertThatIllegalStateException().isThrownBy(() -> session.compute(network -> 1)).withMessageContaining("closed");
        }
    }

    /** Also where another network is free: threads that all did so would wait for each other. */
    @MayHang
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void theBankRefusesASecondNetworkToAThreadThatHasOne(int networks) {
        INDArray x = input(1, 2, 3, 4);
        try (AdapterBank bank = new AdapterBank(Kind.SIMPLE.base(), networks);
                BankSession session = bank.session(AdapterMix.base()); BankSession other = bank.session(AdapterMix.base());
                AdapterBank another = new AdapterBank(Kind.SIMPLE.base(), 1)) {
            INDArray expected = bank.output(AdapterBank.BASE, x);
            List<Supplier<INDArray>> asked = List.of(() -> bank.output(AdapterBank.BASE, x), () -> session.output(x),
                    () -> other.output(x), () -> other.compute(network -> x));

            for (Supplier<INDArray> ask : asked) {
                assertThatIllegalStateException().isThrownBy(() -> session.compute(network -> ask.get()))
                        .withMessage("This thread already has a network of the bank: ask after compute(...) has returned");
            }

            assertThat(session.<INDArray>compute(network -> another.output(AdapterBank.BASE, x))).isEqualTo(expected);
            assertThat(bank.output(AdapterBank.BASE, x)).isEqualTo(expected);
        }
    }

    @MayHang
    @Test
    void aThreadThatHasANetworkDoesNotWaitForASessionWhoseThreadWaitsForOne() throws Exception {
        INDArray x = input(1, 2, 3);
        ExecutorService threads = Executors.newSingleThreadExecutor();
        try (AdapterBank bank = new AdapterBank(Kind.SIMPLE.base(), 1);
                BankSession session = bank.session(AdapterMix.base()); BankSession other = bank.session(AdapterMix.base())) {
            List<Future<INDArray>> waiting = new ArrayList<>();

            assertThatIllegalStateException().isThrownBy(() -> session.compute(network -> {
                waiting.add(threads.submit(() -> other.output(x)));
                while (bank.status().waiting() == 0) {
                    Thread.onSpinWait();
                }
                return other.output(x);
            })).withMessageContaining("already has a network");

            assertThat(waiting.get(0).get().shape()).containsExactly(2, 2);
        } finally {
            threads.shutdown();
        }
    }
}
