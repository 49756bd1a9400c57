package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterSource;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Measurements of a bank of adapters, each in a {@link ServingChild}. */
enum ServingTask {

    /** Times of a mixed batch over those of the base, by {@link #COUNTS}. */
    MIXED("mixed batches of 32 rows, 2048 wide, time / base alone") {
        @Override
        double[] measure() {
            return mixed(Shape.of(2048), false);
        }
    },
    MIXED_PACKED("the same on a packed base / base alone that is not packed") {
        @Override
        double[] measure() {
            return mixed(Shape.of(2048), true);
        }
    },
    NARROW("mixed batches of 32 rows, 256 wide, time / base alone") {
        @Override
        double[] measure() {
            return mixed(Shape.of(256), false);
        }
    },
    NARROW_PACKED("the same on a packed base / base alone that is not packed, 256 wide") {
        @Override
        double[] measure() {
            return mixed(Shape.of(256), true);
        }
    },
    /** Bytes of an adapter's values, and its further bytes. */
    MEMORY("bytes of an adapter in memory: values, and beside them") {
        @Override
        double[] measure() {
            Shape shape = Shape.of(256);
            MultiLayerNetwork base = Networks.base(shape, false);
            LoRAAdapter adapter = adapter(base, shape);
            try (AdapterBank bank = new AdapterBank(base)) {
                // With the first adapters, one-time allocations would count.
                int few = COUNTS[COUNTS.length - 1];
                int many = 2 * few;
                fill(bank, adapter, few);
                double before = ManyAdaptersChild.used();
                fill(bank, adapter, many);
                double each = (double) bank.status().adapterBytes() / many;
                return new double[] {each, (ManyAdaptersChild.used() - before) / (many - few) - each};
            }
        }
    },
    /** Milliseconds. */
    ADD("adding an adapter to a base of 25 million parameters, ms") {
        @Override
        double[] measure() {
            Shape shape = Shape.square(2048, 6, 1, 8, "Adam");
            MultiLayerNetwork base = Networks.base(shape, false);
            LoRAAdapter adapter = adapter(base, shape);
            try (AdapterBank bank = new AdapterBank(base)) {
                return new double[] {Clock.medianMillis(() -> bank.replace("adapter", adapter))};
            }
        }
    },
    /** Milliseconds: median, and largest. */
    COLD("first request for an adapter of 300 kB in a folder, ms: median, longest") {
        @Override
        double[] measure() throws IOException {
            Shape shape = Shape.square(1560, 3, 1, 8, "Adam");
            MultiLayerNetwork base = Networks.base(shape, false);
            double[] millis = new double[COLD_ADAPTERS];
            Measurements.inTemporaryFolder(folder -> {
                LoRAAdapter adapter = adapter(base, shape);
                for (int i = 0; i <= COLD_ADAPTERS; i++) {
                    adapter.save(folder.resolve("a" + i));
                }
                first(base, folder, shape, millis);
            });
            return new double[] {Clock.median(millis), Arrays.stream(millis).max().orElseThrow()};
        }

        private void first(MultiLayerNetwork base, Path folder, Shape shape, double[] millis) {
            try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().source(AdapterSource.folder(folder)).build())) {
                INDArray row = Networks.batch(shape).getFeatures();
                // This first request makes the network for all.
                bank.output("a" + millis.length, row);
                for (int i = 0; i < millis.length; i++) {
                    long from = System.nanoTime();
                    bank.output("a" + i, row);
                    millis[i] = (System.nanoTime() - from) / 1e6;
                }
            }
        }
    },
    /** As {@link ServingClients#measure} has them. */
    CLIENTS("32 clients, 2048 wide: requests/s without and with batches; 95 % of answers within so many ms, 1 and 1,000 "
            + "adapters; requests/s with batches on a base that is packed, in BF16, both") {
        @Override
        double[] measure() {
            return ServingClients.measure();
        }
    },
    /** A ratio. */
    ENCODER("32 texts of 64 tokens through MiniLM's architecture, 32 adapters, time / base alone") {
        @Override
        double[] measure() {
            ComputationGraph base = EncoderChild.base();
            ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16)
                    .targets("encoder\\..*\\.(query|value)").build());
            LoRAAdapter adapter = randomised(adapted);
            INDArray texts = EncoderChild.batch(ROWS, TOKENS).getFeatures();
            try (AdapterBank bank = new AdapterBank(base)) {
                fill(bank, adapter, ROWS);
                return new double[] {ratio(bank, bank, ROWS, texts)};
            }
        }
    };

    /** Numbers of adapters in the bank. */
    static final int[] COUNTS = {1, 10, 100, 1_000, 10_000};
    static final int ROWS = 32;

    private static final int TOKENS = 64;
    private static final int COLD_ADAPTERS = 60;
    private static final double SECONDS = 8;
    private static final int FEWEST = 12;

    private final String title;

    ServingTask(String title) {
        this.title = title;
    }

    String title() {
        return title;
    }

    abstract double[] measure() throws IOException;

    static LoRAAdapter adapter(MultiLayerNetwork base, Shape shape) {
        return randomised(LoRA.apply(base, Networks.config(shape).build()));
    }

    private static LoRAAdapter randomised(Model adapted) {
        adapted.params().assign(Nd4j.randn(adapted.params().shape()).muli(0.01));
        return LoRAAdapter.of(adapted);
    }

    /** Adds {@code a0}, {@code a1}, … until there are {@code count} adapters. */
    static void fill(AdapterBank bank, LoRAAdapter adapter, int count) {
        for (int i = bank.names().size(); i < count; i++) {
            bank.add("a" + i, adapter);
        }
    }

    private static double[] mixed(Shape shape, boolean pack) {
        MultiLayerNetwork base = Networks.base(shape, false);
        LoRAAdapter adapter = adapter(base, shape);
        INDArray batch = Networks.batch(shape).getFeatures();
        List<Double> ratios = new ArrayList<>();
        try (AdapterBank plain = new AdapterBank(base);
             AdapterBank bank = new AdapterBank(base, BankConfig.builder().pack(pack).build())) {
            for (int count : COUNTS) {
                fill(bank, adapter, count);
                ratios.add(ratio(bank, plain, count, batch));
            }
        }
        return ratios.stream().mapToDouble(Double::doubleValue).toArray();
    }

    /**
     * Median time of a batch whose examples ask for random ones of {@code adapters} adapters, over that of the base in another
     * bank; the two take turns.
     */
    private static double ratio(AdapterBank bank, AdapterBank plain, int adapters, INDArray batch) {
        String[] none = IntStream.range(0, ROWS).mapToObj(i -> AdapterBank.BASE).toArray(String[]::new);
        Random random = new Random(adapters);
        List<Double> base = new ArrayList<>();
        List<Double> mixed = new ArrayList<>();
        for (long begin = System.nanoTime(); base.size() < FEWEST || System.nanoTime() - begin < SECONDS * 1e9; ) {
            String[] names = IntStream.range(0, ROWS).mapToObj(i -> "a" + random.nextInt(adapters)).toArray(String[]::new);
            base.add(nanos(() -> plain.output(none, batch)));
            mixed.add(nanos(() -> bank.output(names, batch)));
        }
        return median(mixed) / median(base);
    }

    private static double nanos(Runnable work) {
        long from = System.nanoTime();
        work.run();
        return System.nanoTime() - from;
    }

    /** The median of all but the first quarter. */
    private static double median(List<Double> values) {
        return Clock.median(values.subList(values.size() / 4, values.size()).stream().mapToDouble(Double::doubleValue)
                .toArray());
    }
}
