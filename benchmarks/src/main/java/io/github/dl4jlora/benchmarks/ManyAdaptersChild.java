package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import java.util.concurrent.locks.LockSupport;

/**
 * A child process: makes adapted networks on one base and prints the bytes of one adapter, then the memory on top of
 * the base at each of the counts given.
 */
final class ManyAdaptersChild {

    private ManyAdaptersChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[0]);
        MultiLayerNetwork base = Networks.base(shape, false);
        List<MultiLayerNetwork> adapted = new ArrayList<>();
        adapted.add(LoRA.apply(base, Networks.config(shape).build()));
        long adapterBytes = adapted.get(0).params().length() * 4;
        adapted.clear();
        long before = used();
        StringJoiner result = new StringJoiner(" ");
        result.add(String.valueOf(adapterBytes));
        for (int i = 1; i < args.length; i++) {
            while (adapted.size() < Integer.parseInt(args[i])) {
                adapted.add(LoRA.apply(base, Networks.config(shape).build()));
            }
            result.add(String.valueOf(used() - before));
        }
        System.out.println(Child.RESULT + result);
        System.exit(adapted.isEmpty() ? 1 : 0);
    }

    /** Resident memory, with the Java heap counted by what is in use, not by what the JVM holds in reserve. */
    static long used() {
        for (int i = 0; i < 5; i++) {
            System.gc();
            // What the collector finds is freed by other threads.
            LockSupport.parkNanos(200_000_000);
        }
        Runtime runtime = Runtime.getRuntime();
        return Memory.resident() - runtime.freeMemory();
    }
}
