package io.github.dl4jlora.serve;

import java.time.Duration;

/**
 * What requests may cost.
 *
 * @param maxBody        bytes of a request's body
 * @param maxUpload      bytes of an adapter, as it is sent and unpacked
 * @param timeout        for a request's body to arrive, and again for its answer; also how long a stopping service waits for
 *                       requests
 * @param pace           how fast clients have to send and read
 * @param maxConnections of all clients together
 */
record Limits(long maxBody, long maxUpload, Duration timeout, Pace pace, int maxConnections) {

    static final int MOST_CONNECTIONS = 512;

    private static final int UPLOADS_TAKE = 10;
    private static final int LARGEST_AT_A_TIME = 8;
    /**
     * Memory of a body, as a multiple of its size: its bytes, and its numbers, each of which takes at least two bytes in the body
     * and eight in memory.
     */
    private static final int ONE_TAKES = 5;
    private static final int SHARE_OF_HEAP = 4;

    /** With the usual pace and number of connections. */
    Limits(long maxBody, long maxUpload, Duration timeout) {
        this(maxBody, maxUpload, timeout, Pace.USUAL, MOST_CONNECTIONS);
    }

    /** How long an adapter may take to arrive. */
    Duration uploadTimeout() {
        return timeout.multipliedBy(UPLOADS_TAKE);
    }

    /**
     * Bytes that all requests together may hold: eight of the largest bodies or a quarter of the heap, whichever is less, but
     * always enough for one.
     *
     * @param heap bytes
     */
    long maxHeld(long heap) {
        return Math.max(leastHeld(), Math.min(LARGEST_AT_A_TIME * maxBody, heap / SHARE_OF_HEAP));
    }

    /** Bytes that one request of the largest size holds while it is read. */
    long leastHeld() {
        return ONE_TAKES * maxBody;
    }
}
