package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.common.Views;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.lang.reflect.Field;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

import static org.assertj.core.api.Assertions.assertThat;

/** What a queue does with a batch that it has computed, and with a second one that is ready at the same time. */
@MayHang
class BankRowsTest {

    /** Longer than any test: a batch is full, or it is not computed. */
    private static final Duration FOREVER = Duration.ofDays(1);

    /** Before, too: tests of other classes leave what they have counted. */
    @BeforeEach
    @AfterEach
    void reset() {
        GatedTanh.reset();
    }

    /** [n, 12] → [3·n, 4] → [3·n, 2]: three rows of the output for an example. */
    private static ComputationGraph threeRowsForAnExample() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).activation(Activation.TANH)
                .graphBuilder().addInputs("in").addVertex("rows", new ReshapeVertex('c', new int[] {-1, 4}, null), "in")
                .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(5).build(), "rows")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(5).nOut(2).activation(Activation.IDENTITY)
                        .build(), "fc").setOutputs("out").build());
    }

    @Test
    void eachRequestGetsAllRowsOfItsExamplesAndNoOthers() {
        ComputationGraph base = threeRowsForAnExample();
        List<String> names = List.of("one", "two", AdapterBank.BASE, "one", "two", "one");
        int[] examples = {1, 2, 1, 1, 3, 1};
        Recorder metrics = new Recorder();
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().maxNetworks(1).maxBatch(9).maxDelay(FOREVER)
                .metrics(metrics).build())) {
            for (String name : List.of("one", "two")) {
                ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
                Networks.randomizeAdapters(tuned.paramTable(), name.hashCode());
                bank.add(name, LoRAAdapter.of(tuned));
            }
            for (int round = 0; round < 3; round++) {
                List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
                List<INDArray> inputs = new ArrayList<>();
                for (int i = 0; i < examples.length; i++) {
                    inputs.add(Networks.random(DataType.FLOAT, 10 * round + i, examples[i], 12));
                    answers.add(bank.submit(BankRequest.of(names.get(i), inputs.get(i))));
                }
                for (int i = 0; i < examples.length; i++) {
                    INDArray answer = answers.get(i).join()[0];
                    assertThat(answer.shape()).as("request %d", i).isEqualTo(new long[] {3 * examples[i], 2});
                    assertThat(Networks.difference(answer, bank.output(names.get(i), inputs.get(i)))).as("request %d", i)
                            .isLessThan(1e-5);
                }
            }
            assertThat(metrics.count("computed 9 of 3")).as("in one batch").isEqualTo(3);
        }
    }

    /** Such a batch needs no sorting, so nobody asked whose rows are whose, and each request was computed again alone. */
    @ParameterizedTest
    @ValueSource(strings = {"one", AdapterBank.BASE})
    void aBatchOfOneMixIsTakenApartToo(String name) {
        ComputationGraph base = threeRowsForAnExample();
        Recorder metrics = new Recorder();
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().maxNetworks(1).maxBatch(4).maxDelay(FOREVER)
                .metrics(metrics).build())) {
            ComputationGraph tuned = addedTo(bank, base, name);
            for (int round = 0; round < 3; round++) {
                assertAnswers(bank, name, tuned, Networks.random(DataType.FLOAT, round, 4, 12));
            }
        }
        assertThat(metrics.told()).filteredOn(line -> line.startsWith("computed")).containsOnly("computed 4 of 1").hasSize(3);
    }

    /** [n, 4, 3] → LSTM → [3·n, 5] → [3·n, 2]: DL4J puts the first steps of all examples first. */
    @ParameterizedTest
    @ValueSource(strings = {"one", AdapterBank.BASE})
    void requestsWhoseRowsCannotBeToldApartAreNotComputedTogetherAgain(String name) {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).activation(Activation.TANH)
                .graphBuilder().addInputs("in").addLayer("lstm", new LSTM.Builder().nIn(4).nOut(5).build(), "in")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(5).nOut(2).activation(Activation.IDENTITY)
                        .build(), new RnnToFeedForwardPreProcessor(), "lstm").setOutputs("out").build());
        Recorder metrics = new Recorder();
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().maxNetworks(1).maxBatch(4).maxDelay(FOREVER)
                .metrics(metrics).build())) {
            ComputationGraph tuned = addedTo(bank, base, name);
            for (int round = 0; round < 3; round++) {
                assertAnswers(bank, name, tuned, Networks.random(DataType.FLOAT, round, 4, 4, 3));
            }
        }
        assertThat(metrics.count("computed 4 of 1")).as("together").isEqualTo(1);
        assertThat(metrics.count("computed")).isEqualTo(1 + 3 * 2);
    }

    /** {@return what the bank has under the name from now on} */
    private static ComputationGraph addedTo(AdapterBank bank, ComputationGraph base, String name) {
        if (name.equals(AdapterBank.BASE)) {
            return base;
        }
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).allTargets().build());
        Networks.randomizeAdapters(tuned.paramTable(), 1);
        bank.add(name, LoRAAdapter.of(tuned));
        return tuned;
    }

    /** To two requests, of the first example and of the others. */
    private static void assertAnswers(AdapterBank bank, String name, ComputationGraph network, INDArray input) {
        List<INDArray> inputs = List.of(Views.rows(input, 0, 1), Views.rows(input, 1, 4));
        List<CompletableFuture<INDArray[]>> answers = inputs.stream().map(one -> bank.submit(BankRequest.of(name, one)))
                .toList();
        for (int i = 0; i < 2; i++) {
            assertThat(Networks.difference(answers.get(i).join()[0], network.outputSingle(inputs.get(i)))).as("request %d", i)
                    .isLessThan(1e-5);
        }
    }

    /** [n, 12] → [3·n, 4] in 'f' order: row r is of example r mod n, whatever the batch. */
    @Test
    void rowsInAnOrderOfTheirOwnAreComputedForEachRequestAlone() {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).activation(Activation.TANH)
                .graphBuilder().addInputs("in").addVertex("rows", new ReshapeVertex('f', new int[] {-1, 4}, null), "in")
                .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(5).build(), "rows")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(5).nOut(2).activation(Activation.IDENTITY)
                        .build(), "fc").setOutputs("out").build());
        BankConfig config = BankConfig.builder().maxNetworks(1).maxBatch(4).maxDelay(FOREVER).build();
        try (AdapterBank bank = new AdapterBank(base, config)) {
            for (String name : List.of("one", "two")) {
                ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).build());
                Networks.randomizeAdapters(tuned.paramTable(), name.hashCode());
                bank.add(name, LoRAAdapter.of(tuned));
            }
            for (List<String> names : List.of(List.of("one", "one"), List.of("one", "two"), List.of("two", "two"))) {
                List<INDArray> inputs = List.of(Networks.random(DataType.FLOAT, 5, 1, 12),
                        Networks.random(DataType.FLOAT, 6, 3, 12));
                List<CompletableFuture<INDArray[]>> answers = List.of(bank.submit(BankRequest.of(names.get(0), inputs.get(0))),
                        bank.submit(BankRequest.of(names.get(1), inputs.get(1))));
                for (int i = 0; i < 2; i++) {
                    assertThat(Networks.difference(answers.get(i).join()[0], bank.output(names.get(i), inputs.get(i))))
                            .as("%s of %s", names.get(i), names).isLessThan(1e-5);
                }
            }
        }
    }

    /**
     * One request makes two batches full. Its signal wakes one thread; who takes the first batch wakes another for the second,
     * which would otherwise wait until the first is computed.
     */
    @Test
    void aSecondBatchThatIsReadyIsTakenByAnotherThread() throws Exception {
        MultiLayerNetwork base = GatedTanh.network();
        GatedTanh.reset();
        try (Parts parts = new Parts(base, BankConfig.builder().maxNetworks(2).maxBatch(4).maxDelay(FOREVER).build())) {
            parts.cache.put("a", GatedTanh.adapter(base, 1), false);
            parts.cache.put("b", GatedTanh.adapter(base, 2), false);
            List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
            answers.add(parts.queue.submit(BankRequest.of("a", GatedTanh.input(1, 2)), null));
            answers.add(parts.queue.submit(BankRequest.of("a", GatedTanh.input(2, 1)), null));
            Gate.until(() -> waiting(parts.queue) == 2);
            GatedTanh.reset();
            Gate gate = GatedTanh.hold();

            answers.add(parts.queue.submit(BankRequest.of("b", GatedTanh.input(3, 3)), null));

            Gate.until(() -> GatedTanh.rows().size() == 2);
            assertThat(GatedTanh.rows()).containsExactlyInAnyOrder(2L, 4L);
            gate.open();
            answers.forEach(CompletableFuture::join);
        }
    }

    /** How many threads wait for a signal that none has been given yet. */
    private static int waiting(RequestQueue queue) {
        ReentrantLock lock = field(queue, "lock");
        lock.lock();
        try {
            return lock.getWaitQueueLength(BankRowsTest.<Condition>field(queue, "changed"));
        } finally {
            lock.unlock();
        }
    }

    @SuppressWarnings("unchecked")
    private static <T> T field(RequestQueue queue, String name) {
        try {
            Field field = RequestQueue.class.getDeclaredField(name);
            field.setAccessible(true);
            return (T) field.get(queue);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }
}
