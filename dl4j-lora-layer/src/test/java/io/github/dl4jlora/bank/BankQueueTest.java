package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.MayHang;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Submitted requests are answered as by networks of their own, in batches that suit them, and fail alone. */
@MayHang
class BankQueueTest {

    private static final double CLOSE = 1e-5;
    /** Longer than any test: a batch is full, or it is not computed. */
    private static final Duration FOREVER = Duration.ofDays(1);

    private final MultiLayerNetwork base = GatedTanh.network();
    private final LoRAAdapter[] adapters = new LoRAAdapter[6];
    private final Recorder metrics = new Recorder();

    BankQueueTest() {
        for (int i = 0; i < 5; i++) {
            adapters[i] = GatedTanh.adapter(base, i + 1);
        }
        MultiLayerNetwork head = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").trainable("out").build());
        Networks.randomizeAdapters(head.paramTable(), 9);
        head.getParam("1_W").addi(0.3);
        adapters[5] = LoRAAdapter.of(head);
    }

    /** Before, too: tests of other classes leave what they have counted. */
    @BeforeEach
    @AfterEach
    void reset() {
        GatedTanh.reset();
    }

    private BankConfig.Builder config() {
        return BankConfig.builder().maxNetworks(1).metrics(metrics);
    }

    private AdapterBank bank(BankConfig.Builder config) {
        AdapterBank bank = new AdapterBank(base, config.build());
        for (int i = 0; i < adapters.length; i++) {
            bank.add("" + i, adapters[i]);
        }
        return bank;
    }

    private void requireAnswer(INDArray[] actual, LoRAAdapter adapter, INDArray input) {
        assertThat(actual).hasSize(1);
        assertThat(actual[0].shape()).isEqualTo(new long[] {input.size(0), 2});
        assertThat(Networks.difference(actual[0], GatedTanh.answer(base, adapter, input))).isLessThan(CLOSE);
    }

    @Test
    void requestsOfManyCallersTakeOnePass() {
        GatedTanh.reset();
        try (AdapterBank bank = bank(config().maxBatch(9).maxDelay(FOREVER))) {
            List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
            int[] rows = {1, 3, 2, 2, 1};
            for (int i = 0; i < 5; i++) {
                answers.add(bank.submit(BankRequest.of("" + i, GatedTanh.input(i, rows[i]))));
            }
            CompletableFuture.allOf(answers.toArray(CompletableFuture[]::new)).join();

            assertThat(GatedTanh.rows()).containsExactly(9L);
            assertThat(metrics.count("computed 9 of 5")).isEqualTo(1);
            assertThat(bank.status().queued()).isZero();
            for (int i = 0; i < 5; i++) {
                requireAnswer(answers.get(i).join(), adapters[i], GatedTanh.input(i, rows[i]));
            }
        }
    }

    /** Threads with requests of every sort: some adapters, of one mix or several, of few or many examples. */
    @ParameterizedTest(name = "maxBatch {0}")
    @ValueSource(ints = {1, 4, 32})
    void manyThreadsGetTheirOwnAnswers(int maxBatch) throws Exception {
        ExecutorService callers = Executors.newFixedThreadPool(6);
        try (AdapterBank bank = bank(config().maxNetworks(2).maxBatch(maxBatch))) {
            List<Future<?>> all = new ArrayList<>();
            for (int t = 0; t < 6; t++) {
                Random random = new Random(t);
                all.add(callers.submit(() -> {
                    for (int i = 0; i < 40; i++) {
                        askSomething(bank, random);
                    }
                }));
            }
            for (Future<?> one : all) {
                one.get();
            }
            assertThat(metrics.count("computed")).isBetween(1L, 240L);
        } finally {
            callers.shutdownNow();
        }
    }

    private void askSomething(AdapterBank bank, Random random) {
        int rows = 1 + random.nextInt(6);
        INDArray input = GatedTanh.input(random.nextInt(), rows);
        if (random.nextInt(3) > 0) {
            int chosen = random.nextInt(adapters.length + 1);
            String name = chosen == adapters.length ? AdapterBank.BASE : "" + chosen;
            requireAnswer(bank.submit(BankRequest.of(name, input)).join(), chosen == adapters.length ? null : adapters[chosen],
                    input);
            return;
        }
        int[] chosen = random.ints(rows, 0, adapters.length).toArray();
        INDArray output = bank.submit(BankRequest.of(Arrays.stream(chosen).mapToObj(i -> AdapterMix.of("" + i)).toList(), input))
                .join()[0];
        for (int row = 0; row < rows; row++) {
            INDArray own = input.get(NDArrayIndex.interval(row, row + 1), NDArrayIndex.all());
            INDArray answer = output.get(NDArrayIndex.interval(row, row + 1), NDArrayIndex.all());
            requireAnswer(new INDArray[] {answer}, adapters[chosen[row]], own);
        }
    }

    @Test
    void weightedMixesShareABatchWithOthers() {
        try (AdapterBank bank = bank(config().maxBatch(7).maxDelay(FOREVER))) {
            INDArray input = GatedTanh.input(7, 2);
            AdapterMix mix = AdapterMix.parse("0:0.7 + 1:-0.3");
            List<CompletableFuture<INDArray[]>> answers = List.of(bank.submit(BankRequest.of(mix, input)),
                    bank.submit(BankRequest.of(List.of(AdapterMix.of("2"), mix), input)),
                    bank.submit(BankRequest.of(AdapterMix.base(), input)),
                    bank.submit(BankRequest.of("3", GatedTanh.input(7, 1))));

            INDArray sum = bank.output(mix, input);

            assertThat(Networks.difference(sum, bank.output("0", input))).isGreaterThan(1e-3);
            assertThat(Networks.difference(answers.get(0).join()[0], sum)).isLessThan(CLOSE);
            INDArray each = answers.get(1).join()[0];
            assertThat(Networks.difference(each.getRow(0), GatedTanh.answer(base, adapters[2], input).getRow(0)))
                    .isLessThan(CLOSE);
            assertThat(Networks.difference(each.getRow(1), sum.getRow(1))).isLessThan(CLOSE);
            requireAnswer(answers.get(2).join(), null, input);
        }
    }

    @Test
    void otherShapesAndTypesAreOtherBatches() {
        try (AdapterBank bank = bank(config().maxBatch(4).maxDelay(FOREVER))) {
            INDArray input = GatedTanh.input(1, 2);
            CompletableFuture<INDArray[]> wide =
                    bank.submit(BankRequest.of("0", Networks.random(DataType.FLOAT, 1, 4, Networks.IN + 1)));
            CompletableFuture<INDArray[]> narrow = bank.submit(BankRequest.of("0", input));
            CompletableFuture<INDArray[]> exact = bank.submit(BankRequest.of("1", input.castTo(DataType.DOUBLE)));
            CompletableFuture<INDArray[]> other = bank.submit(BankRequest.of("2", GatedTanh.input(2, 2)));

            assertThatThrownBy(wide::join).hasMessageContaining("7");
            requireAnswer(narrow.join(), adapters[0], input);
            requireAnswer(other.join(), adapters[2], GatedTanh.input(2, 2));
            assertThat(exact).isNotDone();
            requireAnswer(finish(bank, exact), adapters[1], input);
        }
    }

    /** Nobody else comes: closing the bank answers it. */
    private static INDArray[] finish(AdapterBank bank, CompletableFuture<INDArray[]> answer) {
        bank.close();
        return answer.join();
    }

    /** What cannot be computed has the form of those that can. */
    @Test
    void whatCannotBeComputedFailsAlone() throws InterruptedException {
        try (AdapterBank bank = bank(config().maxBatch(6).maxDelay(FOREVER))) {
            for (float value : new float[] {2e9f, -2e9f}) {
                INDArray good = GatedTanh.input(3, 1);
                INDArray bad = good.mul(0).addi(value);
                bad.muli(signs(bad));
                List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
                for (int i = 0; i < 5; i++) {
                    answers.add(bank.submit(BankRequest.of("" + i, good)));
                }
                CompletableFuture<INDArray[]> failed = bank.submit(BankRequest.of(AdapterBank.BASE, bad));

                assertThatThrownBy(failed::join).hasMessageContaining("too ");
                for (int i = 0; i < 5; i++) {
                    requireAnswer(answers.get(i).join(), adapters[i], good);
                }
            }
            // Whoever waits for an answer may have it before it is counted.
            Gate.until(() -> metrics.count("ended __base__ FAILED") == 2);
        }
    }

    /** Such that all products with the first column of W are of one sign. */
    private INDArray signs(INDArray row) {
        INDArray column = base.getParam("0_W").getColumn(0);
        INDArray signs = row.dup();
        for (int i = 0; i < row.length(); i++) {
            signs.putScalar(i, Math.signum(column.getDouble(i)));
        }
        return signs;
    }

    @Test
    void unknownAndImpossibleMixesFailBeforeTheyTakeABatch() {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(1).variant(new DoRA()).build());
        try (AdapterBank bank = bank(config().maxBatch(2).maxDelay(FOREVER))) {
            bank.add("dora", LoRAAdapter.of(tuned));
            INDArray input = GatedTanh.input(1, 1);
            CompletableFuture<INDArray[]> good = bank.submit(BankRequest.of("0", input));

            assertThatThrownBy(() -> bank.submit(BankRequest.of("nothing", input)).join())
                    .hasCauseInstanceOf(UnknownAdapterException.class).hasMessageContaining("nothing");
            assertThatThrownBy(() -> bank.submit(BankRequest.of(AdapterMix.of("dora", 0.5), input)).join())
                    .hasMessageContainingAll("dora:0.5", "DoRA");
            assertThatThrownBy(() -> bank.submit(BankRequest.of(List.of(AdapterMix.of("0"), AdapterMix.of("nothing")),
                    GatedTanh.input(1, 2))).join()).hasCauseInstanceOf(UnknownAdapterException.class);

            assertThat(good).isNotDone();
            assertThat(bank.status().queued()).isEqualTo(1);
            requireAnswer(finish(bank, good), adapters[0], input);
        }
    }

    @Test
    void aRequestOfMoreThanABatchIsComputedAtOnceByItself() {
        GatedTanh.reset();
        try (AdapterBank bank = bank(config().maxBatch(4).maxDelay(FOREVER))) {
            CompletableFuture<INDArray[]> waits = bank.submit(BankRequest.of("1", GatedTanh.input(2, 1)));

            requireAnswer(bank.submit(BankRequest.of("0", GatedTanh.input(1, 9))).join(), adapters[0], GatedTanh.input(1, 9));

            assertThat(GatedTanh.rows()).startsWith(9L);
            assertThat(waits).isNotDone();
        }
    }

    @Test
    void withoutBatchesEachIsComputedByItself() throws Exception {
        try (AdapterBank bank = bank(config().maxBatch(1).maxDelay(FOREVER))) {
            Gate gate = GatedTanh.hold();
            CompletableFuture<INDArray[]> first = bank.submit(BankRequest.of("0", GatedTanh.input(0, 1)));
            gate.awaitSomebody();
            List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
            List<Integer> order = new CopyOnWriteArrayList<>();
            for (int i = 0; i < 6; i++) {
                int request = i;
                answers.add(bank.submit(BankRequest.of("" + i / 3, GatedTanh.input(i, 1))));
                answers.get(i).thenRun(() -> order.add(request));
            }
            gate.open();
            first.join();
            CompletableFuture.allOf(answers.toArray(CompletableFuture[]::new)).join();

            assertThat(GatedTanh.rows()).containsOnly(1L);
            Gate.until(() -> order.size() == 6);
            assertThat(metrics.count("computed 1 of 1")).isEqualTo(7);
            assertThat(order).as("adapters take turns").containsExactly(0, 3, 1, 4, 2, 5);
        }
    }

    @Test
    void quantisedBasesAreAskedInBatches() {
        MultiLayerNetwork stored = LoRA.freeze(base, Quantization.NF4);
        LoRAAdapter first = GatedTanh.adapter(stored, 1);
        LoRAAdapter second = GatedTanh.adapter(stored, 2);
        INDArray input = GatedTanh.input(1, 2);
        try (AdapterBank bank = new AdapterBank(stored, config().maxBatch(6).maxDelay(FOREVER).build())) {
            bank.add("first", first);
            bank.add("second", second);
            List<CompletableFuture<INDArray[]>> answers = new ArrayList<>();
            for (String name : List.of("first", "second", AdapterBank.BASE)) {
                answers.add(bank.submit(BankRequest.of(name, input)));
            }

            assertThat(Networks.difference(answers.get(0).join()[0], GatedTanh.answer(stored, first, input))).isLessThan(CLOSE);
            assertThat(Networks.difference(answers.get(1).join()[0], GatedTanh.answer(stored, second, input))).isLessThan(CLOSE);
            assertThat(Networks.difference(answers.get(2).join()[0], stored.output(input))).isLessThan(CLOSE);
            assertThat(metrics.count("computed 6 of 3")).isEqualTo(1);
        }
    }
}
