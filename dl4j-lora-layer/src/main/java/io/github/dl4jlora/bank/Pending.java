package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.serve.Lease;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/** A submitted request, and its answer. */
final class Pending extends CompletableFuture<INDArray[]> {

    /** The form of all requests that are computed by themselves: they take turns like others. */
    private static final Object ALONE = new Object();

    private final BankRequest request;
    private final Object form;
    private final Consumer<Pending> beforeFailure;
    private final long since = System.nanoTime();
    /** Null while adapters are being loaded. Set under the queue's lock, and read by whoever takes the request from the queue. */
    private @Nullable Lease lease;
    /** Guarded by the queue's lock. */
    private boolean counted = true;

    /**
     * @param combines      whether it may be computed in a batch with others
     * @param beforeFailure runs before it fails or is cancelled, and thus before what depends on it; may run more than once
     */
    Pending(BankRequest request, boolean combines, Consumer<Pending> beforeFailure) {
        this.request = request;
        this.form = combines ? request.features().form() : ALONE;
        this.beforeFailure = beforeFailure;
    }

    BankRequest request() {
        return request;
    }

    long examples() {
        return request.examples();
    }

    /** Requests of equal forms can be computed in one batch if they {@link #combines combine}. */
    Object form() {
        return form;
    }

    boolean combines() {
        return form != ALONE;
    }

    /** Requests of equal owners take one turn between them. */
    Object owner() {
        return request.mixes();
    }

    long since() {
        return since;
    }

    /** Of a request that has waited. */
    Lease lease() {
        return Objects.requireNonNull(lease);
    }

    void hold(Lease held) {
        lease = held;
    }

    /**
     * Stops counting it among those that wait.
     *
     * @return whether it was counted until now
     */
    boolean countOut() {
        boolean before = counted;
        counted = false;
        return before;
    }

    /** The exceptions of the queue's timer and of {@link CompletableFuture#orTimeout} have no message. */
    @Override
    public boolean completeExceptionally(Throwable e) {
        beforeFailure.accept(this);
        return super.completeExceptionally(e instanceof TimeoutException && e.getMessage() == null
                ? new TimeoutException("The request for " + named() + " was not answered in time") : e);
    }

    @Override
    public boolean cancel(boolean mayInterruptIfRunning) {
        beforeFailure.accept(this);
        return super.cancel(mayInterruptIfRunning);
    }

    private String named() {
        AdapterMix first = request.mixes().get(0);
        return "\"" + first + "\"" + (request.mixes().stream().allMatch(first::equals) ? "" : " and others");
    }
}
