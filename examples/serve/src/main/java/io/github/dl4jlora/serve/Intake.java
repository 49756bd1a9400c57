package io.github.dl4jlora.serve;

import jakarta.servlet.ServletRequest;

import java.time.Duration;
import java.util.Comparator;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * Limits what requests hold in memory at a time: bodies as their bytes arrive, what is read from them, and answers until they are
 * sent. A client that makes the service wait has a deadline; if memory is short, the largest of the requests that have made it
 * wait for more than a second goes first.
 */
final class Intake {

    private static final String ATTRIBUTE = "dl4jlora.share";
    private static final long SHORT_WAIT_NANOS = Duration.ofSeconds(1).toNanos();

    private final long most;
    private final Pace pace;
    private final AtomicLong held = new AtomicLong();
    private final Set<Share> shares = ConcurrentHashMap.newKeySet();

    /** @param most bytes */
    Intake(long most, Pace pace) {
        this.most = most;
        this.pace = pace;
    }

    /** The request's share, which lasts until {@link #close}. */
    Share of(ServletRequest request) {
        Share share = (Share) request.getAttribute(ATTRIBUTE);
        if (share == null) {
            share = new Share();
            request.setAttribute(ATTRIBUTE, share);
            shares.add(share);
        }
        return share;
    }

    /** To be called after the answer, even if the request has no share. */
    void close(ServletRequest request) {
        Share share = (Share) request.getAttribute(ATTRIBUTE);
        if (share != null) {
            shares.remove(share);
            share.close();
        }
    }

    /** Bytes that requests hold now. */
    long held() {
        return held.get();
    }

    /** Ends requests that are too slow. To be called a few times a second. */
    void sweep() {
        long now = System.nanoTime();
        for (Share share : shares) {
            Wait wait = share.wait;
            if (wait != null && now - wait.since > Math.min(wait.longest, pace.nanos(wait.moved.getAsLong()))) {
                wait.leave.accept(Problem.tooSlow());
            }
        }
    }

    private boolean makeRoom() {
        Optional<Share> largest = shares.stream().filter(Share::isWaitedFor)
                .max(Comparator.comparingLong(share -> share.bytes));
        if (largest.isEmpty()) {
            return false;
        }
        largest.get().drop();
        return true;
    }

    private Problem overloaded() {
        return new Problem(429, "overloaded", "There are already " + most + " bytes of requests to answer. Ask again later, "
                + "or for less at a time");
    }

    /**
     * The service waits for a client.
     *
     * @param since   nanoseconds
     * @param longest nanoseconds, however much was moved
     * @param moved   bytes since then
     * @param leave   ends it, as soon as possible; may be called several times
     */
    private record Wait(long since, long longest, LongSupplier moved, Consumer<Problem> leave) {
    }

    /** What one request holds. */
    final class Share {

        private volatile Wait wait;
        private volatile long bytes;
        private boolean closed;

        /**
         * Holds {@code total} bytes, which may be more or fewer than before.
         *
         * @throws Problem 413 if that is more than all requests may hold, 429 if there is no room: then what was held before is
         *                 still held
         */
        void hold(long total) {
            if (total > most) {
                throw Problem.tooLarge("The request and its answer take " + total + " bytes in memory, and all requests together "
                        + "may take " + most + ". Ask for less at a time, or have the service started with a larger --max-body");
            }
            while (!canHold(total)) {
                if (!makeRoom()) {
                    throw overloaded();
                }
            }
        }

        /** @throws Problem as {@link #hold} */
        void add(long more) {
            hold(bytes + more);
        }

        /** @throws Problem as {@link #hold} */
        void holdAtLeast(long total) {
            hold(Math.max(total, bytes));
        }

        private synchronized boolean canHold(long total) {
            if (closed) {
                throw overloaded();
            }
            long more = total - bytes;
            if (held.addAndGet(more) > most && more > 0) {
                held.addAndGet(-more);
                return false;
            }
            bytes = total;
            return true;
        }

        /**
         * From now on the service waits for the client.
         *
         * @param longest how long, however much is moved
         * @param moved   bytes from now on
         * @param leave   ends it, as soon as possible; may be called several times, by any thread, and does not block
         */
        void waitForClient(Duration longest, LongSupplier moved, Consumer<Problem> leave) {
            wait = new Wait(System.nanoTime(), longest.toNanos(), moved, leave);
        }

        /** The service no longer waits for the client. */
        void work() {
            wait = null;
        }

        private boolean isWaitedFor() {
            Wait now = wait;
            return now != null && bytes > 0 && System.nanoTime() - now.since > SHORT_WAIT_NANOS;
        }

        private void drop() {
            Wait now = wait;
            close();
            if (now != null) {
                now.leave.accept(overloaded());
            }
        }

        private synchronized void close() {
            closed = true;
            held.addAndGet(-bytes);
            bytes = 0;
        }
    }
}
