package io.github.dl4jlora.regression;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Resident memory while something is done over and over: what each round takes it must give back. INDArrays do not count
 * in JavaCPP's Pointer.totalBytes(), so nothing less than the process's own size shows a leak of them. Each round deals
 * with a third of a megabyte or more, so that as many leaked ones stand far above what the collector leaves about, or gives
 * back of Java's heap meanwhile.
 */
@EnabledOnOs(OS.LINUX)
@Tag("heavy")
class NativeMemoryTest {

    private static final int ROUNDS = 200;
    private static final long LIMIT = 24L << 20;
    private static final long PAGE = 4096;

    private final Model base = Stacks.of(false, DataType.FLOAT, InputType.feedForward(512),
            new DenseLayer.Builder().nOut(1024).name("fc").build(), Stacks.head());
    private final INDArray input = Networks.random(DataType.FLOAT, 1, 4, 512);

    private static LoRAConfig config(int rank, String target) {
        return LoRAConfig.builder().rank(rank).targets(target).updater(new Adam(1e-3)).build();
    }

    private LoRAAdapter adapter(long seed) {
        Model tuned = Models.apply(base, config(64, "fc"));
        Networks.randomizeAdapters(Models.paramTable(tuned), seed);
        return LoRAAdapter.of(tuned);
    }

    /** What these tests are worth: one array a round that is kept shows. */
    @Test
    void leakOfAnAdapterEachRoundWouldShow() throws Exception {
        List<INDArray> leaked = new ArrayList<>();
        LoRAAdapter adapter = adapter(1);
        Model tuned = Models.apply(base, config(64, "fc"));

        assertThat(growth(round -> {
            adapter.applyTo(tuned);
            leaked.add(tuned.params().dup());
        })).isGreaterThan(LIMIT);
        assertThat(leaked).isNotEmpty();
    }

    @Test
    void swappingAdaptersTakesNothingThatStays() throws Exception {
        List<LoRAAdapter> tasks = List.of(adapter(1), adapter(9));
        Model tuned = Models.apply(base, config(64, "fc"));

        assertThat(growth(round -> {
            tasks.get(round % 2).applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);
            Models.output(tuned, input);
        })).isLessThan(LIMIT);
    }

    @Test
    void trainingTakesNothingThatStays() throws Exception {
        Model tuned = Models.apply(base, config(64, "fc"));
        DataSet data = new DataSet(input, Networks.random(DataType.FLOAT, 2, 4, 2));

        assertThat(growth(round -> Models.fit(tuned, data))).isLessThan(LIMIT);
    }

    @Test
    void effectiveWeightsAreComputedWhereTheyWere() throws Exception {
        Model recurrent = Stacks.of(false, DataType.FLOAT, InputType.recurrent(64),
                new LSTM.Builder().nOut(256).name("lstm").build(), Stacks.sequenceHead());
        Model tuned = Models.apply(recurrent, config(2, "lstm"));
        INDArray sequence = Networks.random(DataType.FLOAT, 1, 1, 64, 2);

        assertThat(growth(round -> {
            tuned.params().addi(1e-3);
            Models.output(tuned, sequence);
        })).isLessThan(LIMIT);
    }

    @Test
    void adaptingMergingAndDisablingLeaveNothingBehind() throws Exception {
        assertThat(growth(round -> {
            Model tuned = Models.apply(base, config(2, "fc"));
            try (LoRA.Scope scope = LoRA.disabled(tuned)) {
                Models.output(tuned, input);
            }
            Models.output(Models.merge(tuned), input);
        })).isLessThan(LIMIT);
    }

    @Test
    void bankKeepsNoMoreThanItWasGiven() throws Exception {
        LoRAAdapter first = adapter(1);
        try (AdapterBank bank = new AdapterBank((MultiLayerNetwork) base, 2)) {
            assertThat(growth(round -> {
                bank.add("task", first);
                bank.output("task", input);
                bank.remove("task");
            })).isLessThan(LIMIT);
        }
    }

    /**
     * The copies in 32 bits are half a gigabyte in all, of which Java's heap knows nothing, so that no collection would come.
     * In a JVM of its own nothing else grows.
     */
    @Test
    void productsInSixteenBitsNeedNoCollectorToGiveTheirCopiesBack(@TempDir Path folder) throws Exception {
        List<String> printed = ChildJvm.runIn(Map.of(), ChildJvm.classpath(), List.of("-Xms256m", "-Xmx256m", "-Xmn128m",
                        "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-XX:+DisableExplicitGC", "-XX:TieredStopAtLevel=1",
                        "-Dorg.bytedeco.javacpp.maxphysicalbytes=0"),
                folder.resolve("log"), SixteenBitProducts.class);
        long grown = printed.stream().filter(line -> line.startsWith("grown by ")).mapToLong(line ->
                Long.parseLong(line.substring("grown by ".length()))).findFirst().orElseThrow();

        long copies = (long) SixteenBitProducts.PRODUCTS * SixteenBitProducts.ROWS * SixteenBitProducts.OUTPUTS * Float.BYTES;
        assertThat(grown).isLessThan(copies / 5);
    }

    /**
     * Resident bytes that so many rounds add, once as many have gone before: the least of three times, unless the first adds few.
     * What is kept is kept each time; Java's heap and the allocator take new pages once.
     */
    private static long growth(IntConsumer action) throws IOException, InterruptedException {
        rounds(action);
        long least = Long.MAX_VALUE;
        for (int time = 0; time < 3 && least >= LIMIT; time++) {
            long before = residentBytes();
            rounds(action);
            least = Math.min(least, residentBytes() - before);
        }
        return least;
    }

    /** ND4J frees what the collector found dead. */
    private static void rounds(IntConsumer action) {
        for (int round = 0; round < ROUNDS; round++) {
            action.accept(round);
            if (round % 25 == 24) {
                System.gc();
            }
        }
    }

    private static long residentBytes() throws IOException, InterruptedException {
        for (int i = 0; i < 3; i++) {
            System.gc();
            Thread.sleep(50);
        }
        return Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * PAGE;
    }
}
