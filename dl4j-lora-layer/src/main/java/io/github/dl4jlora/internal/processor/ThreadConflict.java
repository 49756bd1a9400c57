package io.github.dl4jlora.internal.processor;

import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.concurrent.atomic.AtomicBoolean;

/**
 * ND4J's OpenMP threads and OpenBLAS's own. Each waits for its next work by spinning, on cores that the other needs: a
 * training step takes several times as long.
 */
public final class ThreadConflict {

    private static final Logger LOG = LoggerFactory.getLogger(ThreadConflict.class);
    private static final AtomicBoolean TOLD = new AtomicBoolean();

    private static volatile boolean settled;

    private ThreadConflict() {
    }

    /** Whether somebody has seen to it in this process. */
    public static boolean isSettled() {
        return settled;
    }

    /** Somebody sees to it from now on, or no longer. */
    public static void settled(boolean now) {
        settled = now;
    }

    /** Whether there is one here, now: on the CPU both have several threads, and neither environment nor call settles it. */
    public static boolean isOn() {
        if (settled || "passive".equalsIgnoreCase(System.getenv("OMP_WAIT_POLICY"))
                || !Nd4j.getBackend().getEnvironment().isCPU()) {
            return false;
        }
        ThreadCounts counts = ThreadCounts.now();
        return counts.openMp() > 1 && counts.blas() > 1;
    }

    /** Warns of it where it is, once in a process. */
    public static void warn() {
        if (!TOLD.get() && isOn() && TOLD.compareAndSet(false, true)) {
            ThreadCounts counts = ThreadCounts.now();
            LOG.warn("ND4J's loops ({} threads) and BLAS ({} threads) spin against each other, which makes training several "
                    + "times slower. Call Threads.settle() in the first line of main, or set OMP_WAIT_POLICY=passive; "
                    + "Doctor.report() measures what it costs here", counts.openMp(), counts.blas());
        }
    }

    /** It has been told in other words: no warning follows. */
    public static void told() {
        TOLD.set(true);
    }
}
