package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.bank.AdapterBank;

import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Verifies the base now and then, and remembers what came of it. */
final class BaseWatch implements AutoCloseable {

    /**
     * What is known of the base.
     *
     * @param verified when it was last what it was at the start
     * @param defect   what was found since; null for nothing
     */
    record State(Instant verified, String defect) {
    }

    private final AdapterBank bank;
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread thread = new Thread(work, "dl4j-lora: verifies the base");
        thread.setDaemon(true);
        return thread;
    });
    private volatile State state = new State(Instant.now(), null);

    /** @param bank which has just been made, and has verified its base for that */
    BaseWatch(AdapterBank bank, Duration every) {
        this.bank = bank;
        thread.scheduleWithFixedDelay(this::verify, every.toNanos(), every.toNanos(), TimeUnit.NANOSECONDS);
    }

    void verify() {
        try {
            bank.verify();
            state = new State(Instant.now(), null);
        } catch (RuntimeException e) {
            state = new State(state.verified, e.getMessage());
        }
    }

    State state() {
        return state;
    }

    /** @throws Problem if answers would not be the base's */
    void requireSound() {
        if (state.defect != null) {
            throw Problem.unavailable("The base is no more what it was when the service started: " + state.defect);
        }
    }

    @Override
    public void close() {
        thread.shutdownNow();
    }
}
