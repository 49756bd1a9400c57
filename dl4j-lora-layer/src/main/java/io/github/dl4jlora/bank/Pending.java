package io.github.dl4jlora.bank;

import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;

/** A submitted request, and its answer. */
final class Pending extends CompletableFuture<INDArray[]> {

    /** Of those that are computed by themselves, which take turns all the same. */
    private static final Object ALONE = new Object();

    private final BankRequest request;
    private final Object form;
    private final long since = System.nanoTime();
    // Guarded by the queue.
    private Lease lease;
    private boolean counted = true;

    /** @param combines whether it may be computed with others */
    Pending(BankRequest request, boolean combines) {
        this.request = request;
        this.form = combines ? request.features().form() : ALONE;
    }

    BankRequest request() {
        return request;
    }

    long examples() {
        return request.examples();
    }

    /** Requests of equal forms can be computed in one batch, if they {@link #combines}. */
    Object form() {
        return form;
    }

    boolean combines() {
        return form != ALONE;
    }

    /** Whose turn it takes. */
    Object owner() {
        return request.mixes();
    }

    long since() {
        return since;
    }

    Lease lease() {
        return lease;
    }

    void hold(Lease held) {
        lease = held;
    }

    /**
     * Whether it counts as one that waits, which it does no more after this.
     *
     * @return true the first time
     */
    boolean countOut() {
        boolean before = counted;
        counted = false;
        return before;
    }

    /** {@link CompletableFuture#orTimeout} says nothing. */
    @Override
    public boolean completeExceptionally(Throwable e) {
        return super.completeExceptionally(e instanceof TimeoutException && e.getMessage() == null
                ? new TimeoutException("The request for " + named() + " was not answered in time") : e);
    }

    private String named() {
        AdapterMix first = request.mixes().get(0);
        return "\"" + first + "\"" + (request.mixes().stream().allMatch(first::equals) ? "" : " and others");
    }
}
