package io.github.dl4jlora;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.processor.ThreadConflict;
import io.github.dl4jlora.internal.processor.ThreadCounts;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.machine.ThreadsTest;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.slf4j.LoggerFactory;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.FutureTask;

/** Settles threads, or does not, in a JVM that has done nothing before. Run by {@link ThreadsTest}. */
public final class Settling {

    private Settling() {
    }

    /** Does one thing after the other. */
    public static void main(String[] words) throws Exception {
        for (Class<?> warns : List.of(ThreadConflict.class, Threads.class)) {
            ((Logger) LoggerFactory.getLogger(warns)).setLevel(Level.WARN);
        }
        Threads settled = null;
        for (String word : words) {
            switch (word) {
                case "load" -> Nd4j.create(1);
                case "settle" -> {
                    Threads now = Threads.settle();
                    System.out.println(now);
                    System.out.println("again: " + (now == settled));
                    settled = now;
                }
                case "undo" -> Objects.requireNonNull(settled).undo();
                case "tell" -> System.out.println("here: " + ThreadCounts.now() + ", elsewhere: " + elsewhere() + ", physical: "
                        + Pointer.maxPhysicalBytes() + ", environment: " + System.getenv("OMP_NUM_THREADS"));
                case "team" -> System.out.println("team: " + team());
                case "gone" -> {
                    for (int i = 0; team() > 0 && i < 500; i++) {
                        Thread.sleep(20);
                    }
                    System.out.println("team: " + team());
                }
                case "arrays" -> System.out.println("peak: " + peakOfArrays());
                case "apply" -> {
                    MultiLayerNetwork network = Networks.of(Networks.layersConf(DataType.FLOAT, new Sgd(0.1)));
                    LoRA.apply(network, LoRAConfig.builder().rank(2).build());
                }
                default -> throw new IllegalArgumentException(word);
            }
        }
        System.exit(0);
    }

    /** Threads of the team that rests: Linux keeps fifteen letters of a name, and gives a thread that of its maker. */
    private static int team() throws IOException {
        int team = 0;
        for (File task : Objects.requireNonNull(new File("/proc/self/task").listFiles())) {
            try {
                team += Files.readString(task.toPath().resolve("comm")).startsWith("dl4j-lora: a te") ? 1 : 0;
            } catch (IOException e) {
                // It has ended since it was listed.
                continue;
            }
        }
        return team;
    }

    /** The process's size in MiB while two and a half GiB of arrays are made and forgotten, little by little. */
    private static long peakOfArrays() throws InterruptedException {
        long peak = 0;
        for (int i = 0; i < 5 * 512; i++) {
            Nd4j.zeros(DataType.FLOAT, 1 << 18).addi(1);
            peak = Math.max(peak, Pointer.physicalBytes());
            // The thread that bounds the size needs a core, too.
            Thread.sleep(1);
        }
        return peak >> 20;
    }

    private static ThreadCounts elsewhere() throws Exception {
        FutureTask<ThreadCounts> counts = new FutureTask<>(ThreadCounts::now);
        new Thread(counts).start();
        return counts.get();
    }
}
