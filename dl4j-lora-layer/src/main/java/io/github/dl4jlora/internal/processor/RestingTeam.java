package io.github.dl4jlora.internal.processor;

import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOpsHolder;

import java.util.concurrent.CountDownLatch;

/**
 * Keeps OpenMP's threads from spinning after the runtime was loaded. GCC's runtime, which ND4J is built with, lets a thread
 * that waits for work spin for milliseconds while there are no more OpenMP threads than cores, and for a moment only while
 * there are more. So a Java thread runs one loop of ND4J's in as many OpenMP threads as ND4J has, and sleeps from then on. Its
 * team sleeps too but still counts: together with any other thread's team there are more threads than cores.
 */
public final class RestingTeam {

    /** Enough for ND4J to share it among its threads. */
    private static final long VALUES = 1 << 18;

    private final CountDownLatch dismissed = new CountDownLatch(1);
    private final Thread leader;

    private RestingTeam(int threads) {
        CountDownLatch rests = new CountDownLatch(1);
        leader = new Thread(() -> {
            try {
                NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(threads);
                Nd4j.zeros(VALUES).addi(1).close();
            } finally {
                rests.countDown();
            }
            awaitUninterruptibly(dismissed);
        }, "dl4j-lora: a team of OpenMP that rests");
        leader.setDaemon(true);
        leader.start();
        awaitUninterruptibly(rests);
    }

    /** @param threads of ND4J's loops, above 1 */
    public static RestingTeam of(int threads) {
        return new RestingTeam(threads);
    }

    /** Ends its threads: OpenMP's others may spin again. */
    public void dismiss() {
        dismissed.countDown();
        try {
            leader.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void awaitUninterruptibly(CountDownLatch latch) {
        boolean interrupted = false;
        while (true) {
            try {
                latch.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
