package io.github.dl4jlora.serve;

import java.time.Duration;

/**
 * How fast clients have to be: a fixed time, and more for large bodies and answers.
 *
 * @param time           for a request's head, for its body and for reading its answer, each
 * @param bytesPerSecond bytes that extend this time by a second, once moved
 */
record Pace(Duration time, long bytesPerSecond) {

    static final Pace USUAL = new Pace(Duration.ofSeconds(10), 16 << 10);

    /** How many nanoseconds may have passed when {@code bytes} bytes were moved. */
    long nanos(long bytes) {
        return (long) (time.toNanos() + bytes * 1e9 / bytesPerSecond);
    }
}
