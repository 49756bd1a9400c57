package io.github.dl4jlora.examples.serve;

import java.time.Duration;

/**
 * How fast clients have to be: a time for anything, and more for what is large.
 *
 * @param time           for a request's head, for its body and for reading its answer, each
 * @param bytesPerSecond what has to be moved when that time is over: each so many bytes give a second more
 */
record Pace(Duration time, long bytesPerSecond) {

    static final Pace USUAL = new Pace(Duration.ofSeconds(10), 16 << 10);

    /** How many nanoseconds may have passed when so many bytes were moved. */
    long nanos(long bytes) {
        return time.toNanos() + (long) (bytes * 1e9 / bytesPerSecond);
    }
}
