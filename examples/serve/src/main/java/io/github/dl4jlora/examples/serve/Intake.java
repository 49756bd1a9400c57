package io.github.dl4jlora.examples.serve;

import io.javalin.http.Context;

import java.util.concurrent.atomic.AtomicLong;

/** A bound of the bytes of bodies that are in the service at a time, from when they are read to their answers. */
final class Intake {

    private static final String TAKEN = "dl4jlora.taken";
    private static final int LARGEST_AT_A_TIME = 8;

    private final long maxBody;
    private final AtomicLong left;

    /** @param maxBody bytes of the largest; so large ones may be eight at a time */
    Intake(long maxBody) {
        this.maxBody = maxBody;
        this.left = new AtomicLong(LARGEST_AT_A_TIME * maxBody);
    }

    /** @throws Problem 429 if it has to come again later */
    void take(Context request) {
        long length = request.req().getContentLengthLong();
        long bytes = length < 0 ? maxBody : Math.min(length, maxBody);
        if (left.addAndGet(-bytes) < 0) {
            left.addAndGet(bytes);
            throw new Problem(429, "overloaded", "There are " + LARGEST_AT_A_TIME * maxBody + " bytes of requests to be answered "
                    + "already. Ask again later, or for less at a time");
        }
        request.attribute(TAKEN, bytes);
    }

    /** After the answer; of a request that has taken nothing, too. */
    void giveBack(Context request) {
        Long bytes = request.attribute(TAKEN);
        if (bytes != null) {
            request.attribute(TAKEN, null);
            left.addAndGet(bytes);
        }
    }
}
