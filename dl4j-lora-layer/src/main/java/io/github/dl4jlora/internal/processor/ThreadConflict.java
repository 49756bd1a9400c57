package io.github.dl4jlora.internal.processor;

import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The conflict of ND4J's OpenMP threads with OpenBLAS's own. Each waits for its next work by spinning, on cores that the other
 * needs: a training step takes several times as long.
 */
public final class ThreadConflict {

    private static final Logger LOG = LoggerFactory.getLogger(ThreadConflict.class);
    private static final AtomicBoolean TOLD = new AtomicBoolean();

    private static volatile boolean settled;

    private ThreadConflict() {
    }

    /** Whether the conflict has been settled in this process. */
    public static boolean isSettled() {
        return settled;
    }

    /** Says that the conflict is settled from now on, or no longer. */
    public static void settled(boolean now) {
        settled = now;
    }

    /**
     * Whether there is a conflict here, now: on the CPU both have several threads, and neither environment nor call settles it.
     */
    public static boolean isOn() {
        if (settled || "passive".equalsIgnoreCase(System.getenv("OMP_WAIT_POLICY"))
                || !Nd4j.getBackend().getEnvironment().isCPU()) {
            return false;
        }
        ThreadCounts counts = ThreadCounts.now();
        return counts.openMp() > 1 && counts.blas() > 1;
    }

    /** Warns if there is a conflict, once in a process. */
    public static void warn() {
        if (!TOLD.get() && isOn() && TOLD.compareAndSet(false, true)) {
            ThreadCounts counts = ThreadCounts.now();
            LOG.warn("ND4J's loops ({} threads) and BLAS ({} threads) spin against each other, which makes training several "
                    + "times slower. Call Threads.settle() in the first line of main, or set OMP_WAIT_POLICY=passive; "
                    + "Doctor.report() measures the cost on this machine", counts.openMp(), counts.blas());
        }
    }

    /** Says that the conflict has been reported in other words, so that no warning follows. */
    public static void told() {
        TOLD.set(true);
    }
}
