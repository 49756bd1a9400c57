package io.github.dl4jlora.examples.serve;

import java.time.Duration;

/**
 * What one request may cost.
 *
 * @param maxBody   bytes of a request's body
 * @param maxUpload bytes of an adapter, as it is sent and unpacked
 * @param timeout   from when a request is read until its answer is there; also how long an ending service waits for requests
 */
record Limits(long maxBody, long maxUpload, Duration timeout) {

    private static final int UPLOADS_TAKE = 10;

    /** How long an adapter may take to come. */
    Duration uploadTimeout() {
        return timeout.multipliedBy(UPLOADS_TAKE);
    }
}
