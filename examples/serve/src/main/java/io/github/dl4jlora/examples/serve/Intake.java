package io.github.dl4jlora.examples.serve;

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
 * A bound of what requests hold in memory at a time: bodies as their bytes arrive, what is read out of them, and answers until
 * they are sent. Whoever makes the service wait has a deadline; where memory is short, the largest of those who make it wait for
 * more than a second have to go first.
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

    /** After the answer; of a request that has no share, too. */
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

    /** Sends away who is too slow. To be called a few times a second. */
    void sweep() {
        long now = System.nanoTime();
        for (Share share : shares) {
            Wait wait = share.wait;
            if (wait != null && now - wait.since > Math.min(wait.longest, pace.nanos(wait.moved.getAsLong()))) {
                wait.leave.accept(Problem.tooSlow());
            }
        }
    }

    private boolean makeRoom(long bytes) {
        Optional<Share> largest = shares.stream().filter(Share::isWaitedFor)
                .max(Comparator.comparingLong(share -> share.bytes));
        if (largest.isEmpty() || bytes > most) {
            return false;
        }
        largest.get().drop();
        return true;
    }

    private Problem overloaded() {
        return new Problem(429, "overloaded", "There are " + most + " bytes of requests to be answered already. Ask again later, "
                + "or for less at a time");
    }

    /**
     * The service waits for a client.
     *
     * @param since   nanoseconds
     * @param longest nanoseconds, whatever was moved meanwhile
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
         * Holds so many bytes, more or less than before.
         *
         * @throws Problem 429 if there is no room: what was held before is held still
         */
        void hold(long total) {
            while (!canHold(total)) {
                if (!makeRoom(total)) {
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
         * From now on the client is waited for.
         *
         * @param longest how long, whatever is moved
         * @param moved   bytes from now on
         * @param leave   ends it, as soon as possible; may be called several times, by any thread, and does not block
         */
        void waitForClient(Duration longest, LongSupplier moved, Consumer<Problem> leave) {
            wait = new Wait(System.nanoTime(), longest.toNanos(), moved, leave);
        }

        /** It is the service's turn. */
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
