package io.github.dl4jlora.bank;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** Verifies a bank's base, at intervals too, and remembers if it has changed. */
final class BaseVerifier implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(BaseVerifier.class);

    private final Runnable check;
    private final @Nullable ScheduledExecutorService clock;
    private volatile Instant verified = Instant.now();
    private volatile @Nullable IllegalStateException broken;

    /**
     * @param check throws an IllegalStateException if the base has changed; it was done just now
     * @param every null for never
     */
    @SuppressWarnings("FutureReturnValueIgnored") // The task logs what it throws.
    BaseVerifier(Runnable check, @Nullable Duration every) {
        this.check = check;
        this.clock = every == null ? null : Executors.newSingleThreadScheduledExecutor(work -> {
            Thread thread = new Thread(work, "adapter-bank-watch");
            thread.setDaemon(true);
            return thread;
        });
        if (clock != null) {
            long nanos = TimeUnit.NANOSECONDS.convert(every);
            clock.scheduleWithFixedDelay(this::verifyAndLog, nanos, nanos, TimeUnit.NANOSECONDS);
        }
    }

    private void verifyAndLog() {
        try {
            verify();
        } catch (RuntimeException | Error e) {
            // An exception would end the schedule.
            LOG.error("{}: {}", broken == null ? "The base of a bank could not be verified" : "A bank no longer serves",
                    e.toString());
        }
    }

    /** @throws IllegalStateException if the base has changed, as {@link #requireIntact} does from then on */
    void verify() {
        try {
            check.run();
            verified = Instant.now();
        } catch (IllegalStateException e) {
            broken = e;
            throw e;
        }
    }

    /** @throws IllegalStateException if the base was found to have changed */
    void requireIntact() {
        IllegalStateException found = broken;
        if (found != null) {
            throw new IllegalStateException(found.getMessage(), found);
        }
    }

    BaseStatus status() {
        return new BaseStatus(verified, Optional.ofNullable(broken).map(Throwable::getMessage));
    }

    @Override
    public void close() {
        if (clock != null) {
            clock.shutdownNow();
        }
    }
}
