package io.github.dl4jlora.bank;

import java.util.concurrent.CountDownLatch;
import java.util.function.BooleanSupplier;

/** A place where threads stand still until they may go on. */
final class Gate {

    private final CountDownLatch entered = new CountDownLatch(1);
    private final CountDownLatch free = new CountDownLatch(1);

    /** Stands still. */
    void pass() {
        entered.countDown();
        boolean interrupted = false;
        for (boolean waits = true; waits; ) {
            try {
                free.await();
                waits = false;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits until somebody stands here. */
    void awaitSomebody() throws InterruptedException {
        entered.await();
    }

    void open() {
        free.countDown();
    }

    /** Waits for what has no latch. */
    static void until(BooleanSupplier reached) throws InterruptedException {
        while (!reached.getAsBoolean()) {
            Thread.sleep(1);
        }
    }
}
