package io.github.dl4jlora;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import io.github.dl4jlora.internal.processor.Quarrel;
import io.github.dl4jlora.internal.processor.ThreadCounts;
import org.bytedeco.javacpp.Pointer;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.LoggerFactory;

import java.io.File;
import java.util.Objects;
import java.util.concurrent.FutureTask;

/** Settles threads, or does not, in a JVM that has done nothing before. Run by {@link ThreadsTest}. */
final class Settling {

    private Settling() {
    }

    /** Does one thing after the other. */
    public static void main(String[] words) throws Exception {
        ((Logger) LoggerFactory.getLogger(Quarrel.class)).setLevel(Level.WARN);
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
                case "threads" -> System.out.println("threads: "
                        + Objects.requireNonNull(new File("/proc/self/task").list()).length);
                case "apply" -> LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build());
                default -> throw new IllegalArgumentException(word);
            }
        }
        System.exit(0);
    }

    private static ThreadCounts elsewhere() throws Exception {
        FutureTask<ThreadCounts> counts = new FutureTask<>(ThreadCounts::now);
        new Thread(counts).start();
        return counts.get();
    }
}
