package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.onednn.OneDnn;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;

/**
 * Something that is done over and over; as a program, prints by how many bytes the process grows. Each round deals with a third
 * of a megabyte or more, so that as many leaked ones stand far above what the collector leaves about.
 */
enum MemoryRounds {

    ROUNDS_THAT_LEAK {
        @Override
        IntConsumer action() {
            List<INDArray> leaked = new ArrayList<>();
            LoRAAdapter adapter = adapter(1);
            Model tuned = Models.apply(BASE, config(RANK, "fc"));
            return round -> {
                adapter.applyTo(tuned);
                leaked.add(tuned.params().dup());
            };
        }
    },
    SWAPPING_ADAPTERS {
        @Override
        IntConsumer action() {
            List<LoRAAdapter> tasks = List.of(adapter(1), adapter(9));
            Model tuned = Models.apply(BASE, config(RANK, "fc"));
            return round -> {
                tasks.get(round % 2).applyTo(tuned, LoRAAdapter.ApplyOption.RESET_UPDATER);
                Models.output(tuned, INPUT);
            };
        }
    },
    TRAINING {
        @Override
        IntConsumer action() {
            Model tuned = Models.apply(BASE, config(RANK, "fc"));
            DataSet data = new DataSet(INPUT, Networks.random(DataType.FLOAT, 2, 4, 2));
            return round -> Models.fit(tuned, data);
        }
    },
    COMPUTING_EFFECTIVE_WEIGHTS {
        @Override
        IntConsumer action() {
            Model recurrent = Stacks.of(false, DataType.FLOAT, InputType.recurrent(64),
                    new LSTM.Builder().nOut(256).name("lstm").build(), Stacks.sequenceHead());
            Model tuned = Models.apply(recurrent, LoRAConfig.builder().rank(2).targets("lstm").engine(Engine.EFFECTIVE_WEIGHTS)
                    .updater(new Adam(1e-3)).build());
            INDArray sequence = Networks.random(DataType.FLOAT, 1, 1, 64, 2);
            return round -> {
                tuned.params().addi(1e-3);
                Models.output(tuned, sequence);
            };
        }
    },
    ADAPTING_MERGING_AND_DISABLING {
        @Override
        IntConsumer action() {
            return round -> {
                Model tuned = Models.apply(BASE, config(2, "fc"));
                try (LoRA.Scope scope = LoRA.disabled(tuned)) {
                    Models.output(tuned, INPUT);
                }
                Models.output(Models.merge(tuned), INPUT);
            };
        }
    },
    ADDING_TO_A_BANK_AND_REMOVING {
        @Override
        IntConsumer action() {
            LoRAAdapter adapter = adapter(1);
            AdapterBank bank = new AdapterBank((MultiLayerNetwork) BASE, 2);
            return round -> {
                bank.add("task", adapter);
                bank.output("task", INPUT);
                bank.remove("task");
            };
        }
    },
    /** Each is compiled for; some 50 KB of code each are kept of so many as a thread's, and the process's, caches hold. */
    PRODUCTS_OF_EVER_NEW_SIZES {
        @Override
        IntConsumer action() {
            OneDnn.use(OneDnn.Use.ALWAYS);
            AtomicInteger size = new AtomicInteger(64);
            return round -> {
                for (int i = 0; i < 4; i++) {
                    INDArray w = Nd4j.create(DataType.FLOAT, size.incrementAndGet(), 64);
                    INDArray x = Nd4j.create(DataType.FLOAT, 8, w.size(0));
                    INDArray y = Nd4j.create(DataType.FLOAT, 8, 64);
                    new PlainMatrix(w).times(x, y);
                    List.of(w, x, y).forEach(INDArray::close);
                }
            };
        }

        /** OneDNN's own cache of a thousand primitives is full long before the last. */
        @Override
        int times() {
            return 8;
        }
    };

    static final long LIMIT = 24L << 20;

    private static final int ROUNDS = 200;
    /** Half a megabyte of weights, which each adapter's round hashes, and adapters that are not much smaller. */
    private static final Model BASE = Stacks.of(false, DataType.FLOAT, InputType.feedForward(256),
            new DenseLayer.Builder().nOut(512).name("fc").build(), Stacks.head());
    private static final int RANK = 128;
    private static final INDArray INPUT = Networks.random(DataType.FLOAT, 1, 4, 256);

    /** What a round does; the argument is its number. */
    abstract IntConsumer action();

    /** How often the rounds are measured at most. */
    int times() {
        return 3;
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println(ResidentBytes.GROWN_BY + valueOf(arguments[0]).growth());
        System.exit(0);
    }

    private static LoRAConfig config(int rank, String target) {
        return LoRAConfig.builder().rank(rank).targets(target).updater(new Adam(1e-3)).build();
    }

    private static LoRAAdapter adapter(long seed) {
        Model tuned = Models.apply(BASE, config(RANK, "fc"));
        Networks.randomizeAdapters(tuned.paramTable(), seed);
        return LoRAAdapter.of(tuned);
    }

    /**
     * Resident bytes that so many rounds add, once as many have gone before: the first time that stays below the limit, or the
     * least of all. What is kept is kept each time; caches fill, and the allocator takes new pages, only for a while.
     */
    private long growth() throws Exception {
        IntConsumer action = action();
        rounds(action);
        long least = Long.MAX_VALUE;
        for (int time = 0; time < times() && least >= LIMIT; time++) {
            long before = resident();
            rounds(action);
            least = Math.min(least, resident() - before);
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

    private static long resident() throws Exception {
        for (int i = 0; i < 3; i++) {
            System.gc();
            Thread.sleep(50);
        }
        return ResidentBytes.now();
    }
}
