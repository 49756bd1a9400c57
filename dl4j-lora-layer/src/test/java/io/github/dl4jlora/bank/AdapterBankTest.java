package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Adapters;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.LayerWeights;
import io.github.dl4jlora.variant.OutputScale;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterBankTest {

    private final ComputationGraph base = Networks.trainedGraph();
    private final INDArray input = Networks.random(DataType.FLOAT, 5, 6, Networks.IN);

    private LoRAAdapter adapter(int rank, long seed) {
        return Adapters.on(base, LoRAConfig.builder().rank(rank).alpha(seed % 3 + 1).scaling(Scaling.ALPHA_OVER_RANK), seed);
    }

    private static INDArray direct(ComputationGraph base, LoRAAdapter adapter, INDArray input) {
        return LoRA.apply(base, adapter).outputSingle(input);
    }

    @Test
    void eachNameAnswersAsTheNetworkOfItsAdapter() {
        try (AdapterBank bank = new AdapterBank(base)) {
            LoRAAdapter one = adapter(2, 1);
            LoRAAdapter two = adapter(4, 20);
            bank.add("one", one);
            bank.add("two", two);

            assertThat(bank.names()).containsExactly("one", "two");
            assertThat(Networks.difference(bank.output("one", input), direct(base, one, input))).isLessThan(1e-6);
            assertThat(Networks.difference(bank.output("two", input), direct(base, two, input))).isLessThan(1e-6);
            assertThat(Networks.difference(bank.output("one", input), bank.output("two", input))).isGreaterThan(1e-3);
        }
    }

    /** A user's own, which stands still where a bank asks it about the base's weights. */
    public static final class Still implements Variant {

        private static final long serialVersionUID = 1L;
        private static volatile Gate gate = new Gate();
        private static final AtomicInteger ASKED = new AtomicInteger();

        @Override
        public String name() {
            return "still";
        }

        @Override
        public List<Parameter> parameters(long nIn, long nOut, int rank) {
            return new PlainLoRA().parameters(nIn, nOut, rank);
        }

        @Override
        public OutputScale scale(LayerWeights layer) {
            ASKED.incrementAndGet();
            gate.pass();
            return null;
        }
    }

    /** They look at the values of one network, whose layers are for one thread at a time. */
    @MayHang
    @Test
    void threadsCheckAdaptersOneAfterTheOther() throws Exception {
        Still.gate = new Gate();
        Still.ASKED.set(0);
        LoRAAdapter still = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc1").variant(new Still()), 1);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            FutureTask<Void> one = new FutureTask<>(() -> bank.check("one", still), null);
            FutureTask<Void> two = new FutureTask<>(() -> bank.check("two", still), null);
            new Thread(one).start();
            Still.gate.awaitSomebody();
            Thread second = new Thread(two);
            second.start();
            Gate.until(() -> second.getState() == Thread.State.BLOCKED || Still.ASKED.get() > 1);
            int asked = Still.ASKED.get();
            Still.gate.open();

            one.get();
            two.get();
            assertThat(asked).isOne();
        }
    }

    @Test
    void rowsOfAMixedBatchAnswerEachWithItsOwnAdapter() {
        try (AdapterBank bank = new AdapterBank(base)) {
            LoRAAdapter one = adapter(2, 1);
            LoRAAdapter two = adapter(4, 20);
            bank.add("one", one);
            bank.add("two", two);
            bank.add("three", adapter(1, 40));

            INDArray output = bank.output(new String[] {"two", "one", "three", "two", "one", "two"}, input);

            INDArray ofOne = direct(base, one, input);
            INDArray ofTwo = direct(base, two, input);
            for (int row : new int[] {1, 4}) {
                assertThat(Networks.difference(output.getRow(row), ofOne.getRow(row))).isLessThan(1e-6);
            }
            for (int row : new int[] {0, 3, 5}) {
                assertThat(Networks.difference(output.getRow(row), ofTwo.getRow(row))).isLessThan(1e-6);
            }
            assertThat(Networks.difference(output.getRow(2), bank.output("three", input).getRow(2))).isLessThan(1e-6);
        }
    }

    @Test
    void mixedBatchPassesThroughTheBaseOnce() {
        MultiLayerNetwork counted = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(Networks.IN).nOut(5).activation(new CountedTanh()).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .build());
        try (AdapterBank bank = new AdapterBank(counted)) {
            bank.add("a", LoRAAdapter.of(LoRA.apply(counted, LoRAConfig.builder().rank(2).build())));
            bank.add("b", LoRAAdapter.of(LoRA.apply(counted, LoRAConfig.builder().rank(3).build())));
            CountedTanh.reset();

            bank.output(new String[] {"a", "b", "a", "b", "b", "a"}, input);

            assertThat(CountedTanh.calls()).isEqualTo(1);
        }
    }

    @Test
    void adaptersOfOtherLayersOrWithFullyTrainedOnesShareABankAndABatch() {
        LoRAAdapter dense = adapter(2, 1);
        LoRAAdapter head = Adapters.on(base, LoRAConfig.builder().rank(2).targets("fc1", "out"), 9);
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        LoRAAdapter trainedOnce = LoRAAdapter.of(tuned);
        tuned.getParam("out_W").addi(0.5);
        LoRAAdapter trainedTwice = LoRAAdapter.of(tuned);
        List<LoRAAdapter> adapters = List.of(dense, head, trainedOnce, trainedTwice);
        try (AdapterBank bank = new AdapterBank(base, 2)) {
            for (int i = 0; i < 4; i++) {
                bank.add("" + i, adapters.get(i));
            }

            INDArray output = bank.output(new String[] {"0", "1", "2", "3", "2", "0"}, input);

            for (int row = 0; row < 4; row++) {
                INDArray expected = direct(base, adapters.get(row), input);
                assertThat(Networks.difference(output.getRow(row), expected.getRow(row))).isLessThan(1e-6);
                assertThat(Networks.difference(bank.output("" + row, input), expected)).isLessThan(1e-6);
            }
            assertThat(bank.status().networks()).isLessThanOrEqualTo(2);
        }
    }

    @ParameterizedTest(name = "{0} steps")
    @ValueSource(ints = {1, 4})
    void sequencesAreServedThoughTheirRowsAreNoExamples(int steps) {
        MultiLayerNetwork sequences = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().nOut(4).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().name("fc").nOut(5).activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(3)).build());
        INDArray x = Networks.random(DataType.FLOAT, 1, 3, 3, steps);
        List<INDArray> expected = new ArrayList<>();
        try (AdapterBank bank = new AdapterBank(sequences)) {
            for (int i = 0; i < 2; i++) {
                MultiLayerNetwork tuned = LoRA.apply(sequences, LoRAConfig.builder().rank(2).build());
                Networks.randomizeAdapters(tuned.paramTable(), i * 10);
                expected.add(tuned.output(x));
                bank.add("" + i, LoRAAdapter.of(tuned));
            }

            INDArray output = bank.output(new String[] {"1", "0", "1"}, x);

            for (int row = 0; row < 3; row++) {
                INDArray wanted = expected.get(row == 1 ? 0 : 1)
                        .get(NDArrayIndex.point(row), NDArrayIndex.all(), NDArrayIndex.all());
                assertThat(Networks.difference(output.get(NDArrayIndex.point(row), NDArrayIndex.all(), NDArrayIndex.all()),
                        wanted))
                        .isLessThan(1e-6);
            }
        }
    }

    @Test
    void removedAdapterIsUnknownAndItsNameIsFreeForAnother() {
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("a", adapter(2, 1));
            bank.output("a", input);
            LoRAAdapter other = adapter(3, 50);

            bank.remove("a");

            assertThat(bank.status().networks()).isZero();
            assertThatIllegalArgumentException().isThrownBy(() -> bank.output("a", input)).withMessageContaining("\"a\"");
            bank.add("a", other);
            assertThat(Networks.difference(bank.output("a", input), direct(base, other, input))).isLessThan(1e-6);
        }
    }

    /** tanh that, when told to, stands still until it may go on. */
    public static final class HeldTanh extends ActivationTanH {

        private static final long serialVersionUID = 1L;
        private static volatile CountDownLatch entered = new CountDownLatch(0);
        private static volatile CountDownLatch free = new CountDownLatch(0);

        static void hold() {
            entered = new CountDownLatch(1);
            free = new CountDownLatch(1);
        }

        @Override
        public INDArray getActivation(INDArray in, boolean training) {
            entered.countDown();
            try {
                free.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            return super.getActivation(in, training);
        }
    }

    @ParameterizedTest(name = "closed: {0}")
    @ValueSource(booleans = {false, true})
    @MayHang
    void requestsThatWaitAreAnsweredThoughTheirAdapterGoesMeanwhile(boolean closed) throws Exception {
        MultiLayerNetwork held = Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new DenseLayer.Builder().name("fc").nIn(Networks.IN).nOut(5).activation(new HeldTanh()).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nOut(2)
                        .activation(Activation.IDENTITY).build())
                .build());
        LoRAAdapter one = LoRAAdapter.of(LoRA.apply(held, LoRAConfig.builder().rank(2).build()));
        MultiLayerNetwork tuned = LoRA.apply(held, LoRAConfig.builder().rank(3).targets("fc", "out").build());
        Networks.randomizeAdapters(tuned.paramTable(), 8);
        INDArray expected = tuned.output(input);
        ExecutorService callers = Executors.newFixedThreadPool(3);
        try (AdapterBank bank = new AdapterBank(held, 1)) {
            bank.add("one", one);
            bank.add("two", LoRAAdapter.of(tuned));
            HeldTanh.hold();
            Future<INDArray> under = callers.submit(() -> bank.output("one", input));
            HeldTanh.entered.await();
            Future<INDArray> waits = callers.submit(() -> bank.output("two", input));
            Future<INDArray> mixed =
                    callers.submit(() -> bank.output(new String[] {"two", "one", "two", "one", "two", "one"}, input));
            while (bank.status().waiting() < 2) {
                Thread.sleep(1);
            }

            if (closed) {
                bank.close();
            } else {
                bank.remove("one");
                bank.remove("two");
            }
            HeldTanh.free.countDown();

            assertThat(Networks.difference(under.get(), held.output(input))).isLessThan(1e-6);
            assertThat(Networks.difference(waits.get(), expected)).isLessThan(1e-6);
            assertThat(Networks.difference(mixed.get().getRow(0), expected.getRow(0))).isLessThan(1e-6);
            assertThat(Networks.difference(mixed.get().getRow(1), held.output(input).getRow(1))).isLessThan(1e-6);
            assertThat(bank.status().networks()).isZero();
            assertThatThrownBy(() -> bank.output("two", input))
                    .isInstanceOf(closed ? IllegalStateException.class : IllegalArgumentException.class);
        } finally {
            HeldTanh.free.countDown();
            callers.shutdownNow();
        }
    }

    @Test
    void badCallsSayWhatIsWrong() {
        AdapterBank bank = new AdapterBank(base);
        bank.add("a", adapter(2, 1));
        ComputationGraph stranger = Networks.trainedGraph();
        stranger.getParam("fc2_W").addi(1);

        assertThatIllegalArgumentException().isThrownBy(() -> bank.add("a", adapter(2, 1))).withMessageContaining("already");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> bank.add("b", Adapters.on(stranger, LoRAConfig.builder().rank(2), 1)))
                .withMessageContaining("\"fc2\"").withMessageContaining("base");
        assertThatIllegalArgumentException().isThrownBy(() -> bank.output("b", input)).withMessageContaining("[a]");
        assertThatIllegalArgumentException().isThrownBy(() -> bank.output(new String[] {"a"}, input))
                .withMessageContaining("The input has 6 rows [6, ").withMessageContaining("], but 1 adapter name was given");
        assertThatIllegalArgumentException().isThrownBy(() -> bank.remove("c")).withMessageContaining("\"c\"");
        assertThatIllegalArgumentException().isThrownBy(() -> new AdapterBank(base, 0)).withMessageContaining("is 0");
        bank.close();
        assertThatIllegalStateException().isThrownBy(() -> bank.output("a", input)).withMessageContaining("closed");
        assertThat(bank.status().networks()).isZero();
    }

    @Test
    void networkThatFailedServesOn() {
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            LoRAAdapter adapter = adapter(2, 1);
            bank.add("a", adapter);

            assertThat(org.assertj.core.api.Assertions.catchThrowable(() -> bank.output("a", Nd4j.ones(2, Networks.IN + 1))))
                    .isNotNull();

            assertThat(Networks.difference(bank.output("a", input), direct(base, adapter, input))).isLessThan(1e-6);
        }
    }

    @Test
    void baseIsWhatItWas() {
        INDArray before = base.params().dup();
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("a", adapter(2, 1));
            bank.output("a", input);
        }

        assertThat(base.params()).isEqualTo(before);
        assertThat(base.outputSingle(input)).isNotNull();
    }

    @Test
    void callersFromManyThreadsGetTheirOwnAnswers() throws Exception {
        serve(4, 50, 6);
    }

    @Test
    @Tag("heavy")
    void sixteenThreadsThousandRequestsFiftyAdapters() throws Exception {
        serve(16, 1000, 50);
    }

    /** Every fourth adapter has a fully trained layer; every fifth request is a mixed batch. */
    private void serve(int threads, int requests, int adapters) throws Exception {
        int limit = 3;
        List<INDArray> expected = new ArrayList<>();
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try (AdapterBank bank = new AdapterBank(base, limit)) {
            for (int i = 0; i < adapters; i++) {
                LoRAConfig.Builder config = LoRAConfig.builder().rank(1 + i % 4);
                LoRAAdapter adapter = Adapters.on(base, i % 4 == 3 ? config.trainable("out") : config, 100 * i);
                expected.add(direct(base, adapter, input));
                bank.add("" + i, adapter);
            }
            for (int half = 0; half < 2; half++) {
                int seed = half * threads;
                List<Callable<Double>> callers = new ArrayList<>();
                for (int t = 0; t < threads; t++) {
                    int thread = t;
                    callers.add(() -> worstDifference(bank, new Random(seed + thread), requests / 2, expected));
                }
                for (Future<Double> result : pool.invokeAll(callers)) {
                    assertThat(result.get()).isLessThan(1e-5);
                }
                assertThat(bank.status().networks()).isLessThanOrEqualTo(limit);
            }
        } finally {
            pool.shutdownNow();
        }
    }

    /** A dense layer above a sequence has a row for each step, in an order of DL4J's. */
    @Test
    void aMixedBatchIsRefusedWhereRowsOfTheOutputAreNoExamples() {
        MultiLayerNetwork steps = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().nIn(4).nOut(5).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MSE).nIn(5).nOut(2)
                        .activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(4)).build());
        try (AdapterBank bank = new AdapterBank(steps, 1)) {
            for (String name : List.of("a", "b")) {
                bank.add(name, LoRAAdapter.of(LoRA.apply(steps, LoRAConfig.builder().rank(2).targets("layer0").build())));
            }
            INDArray sequences = Networks.random(DataType.FLOAT, 5, 4, 4, 7);

            assertThat(bank.output("a", sequences).size(0)).isEqualTo(28);
            assertThatThrownBy(() -> bank.output(new String[] {"a", "b", "a", "b"}, sequences))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("28 rows")
                    .hasMessageContaining("output(name, input)");
        }
    }

    private double worstDifference(AdapterBank bank, Random random, int requests, List<INDArray> expected) {
        double worst = 0;
        for (int i = 0; i < requests; i++) {
            if (i % 5 == 4) {
                int[] chosen = random.ints(input.size(0), 0, expected.size()).toArray();
                INDArray output = bank.output(java.util.Arrays.stream(chosen).mapToObj(String::valueOf).toArray(String[]::new),
                        input);
                for (int row = 0; row < chosen.length; row++) {
                    worst = Math.max(worst, Networks.difference(output.getRow(row), expected.get(chosen[row]).getRow(row)));
                }
            } else {
                int chosen = random.nextInt(expected.size());
                worst = Math.max(worst, Networks.difference(bank.output("" + chosen, input), expected.get(chosen)));
            }
        }
        return worst;
    }
}
