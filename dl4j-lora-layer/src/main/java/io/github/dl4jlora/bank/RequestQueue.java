package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.serve.Features;
import io.github.dl4jlora.internal.serve.Lease;
import io.github.dl4jlora.internal.serve.Loaders;
import io.github.dl4jlora.internal.serve.Passes;
import io.github.dl4jlora.internal.serve.ServedMix;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Submitted requests, computed in batches by as many threads as there may be networks. A request holds its adapters from the
 * moment they are in memory, so that it gets their answer even if they are replaced or removed.
 */
final class RequestQueue {

    private final Passes passes;
    private final AdapterCache cache;
    private final SafeMetrics metrics;
    private final int maxNetworks;
    private final int maxBatch;
    private final int maxQueued;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    @GuardedBy("lock")
    private final FairBatcher batcher;
    @GuardedBy("lock")
    private final List<Thread> computing = new ArrayList<>();
    @GuardedBy("lock")
    private final Set<Thread> threads = new HashSet<>();
    private final Loaders<Pending> loaders;
    /** On a thread of its own: what depends on a request whose time is over must hold up neither the JVM's timer nor passes. */
    private final ScheduledThreadPoolExecutor timer;
    /** Examples of requests that are not computed yet, including those whose adapters are being loaded. */
    @GuardedBy("lock")
    private long queued;
    @GuardedBy("lock")
    private boolean closed;

    RequestQueue(Passes passes, AdapterCache cache, BankConfig config, SafeMetrics metrics) {
        this.passes = passes;
        this.cache = cache;
        this.metrics = metrics;
        this.maxNetworks = config.maxNetworks();
        this.maxBatch = config.maxBatch();
        this.maxQueued = config.maxQueued();
        this.loaders = new Loaders<>(Pending::isDone, pending -> cache.holdUnlessBusy(pending.request().mixes()), maxNetworks,
                work -> thread(work, "adapter-bank-loader"), this::enqueue, Pending::completeExceptionally);
        this.timer = new ScheduledThreadPoolExecutor(1, work -> thread(work, "adapter-bank-timer"));
        timer.setRemoveOnCancelPolicy(true);
        this.batcher = new FairBatcher(config.maxBatch(), TimeUnit.NANOSECONDS.convert(config.maxDelay()));
    }

    /**
     * Queues a request.
     *
     * @param timeout null for none
     * @throws BankOverloadedException if too many wait
     * @throws IllegalStateException   if the queue is closed
     */
    @SuppressWarnings("FutureReturnValueIgnored") // What follows the request does not fail.
    CompletableFuture<INDArray[]> submit(BankRequest request, @Nullable Duration timeout) {
        Pending pending = new Pending(request, maxBatch > 1 && request.examples() < maxBatch
                && passes.canBeJoined(request.features())
                && Arrays.stream(request.features().inputs()).allMatch(input -> input.size(0) == request.examples()),
                this::countOut);
        if (!admits(pending)) {
            metrics.refused(request.mixes().get(0));
            throw new BankOverloadedException("The request for \"" + request.mixes().get(0) + "\" was refused: no more than "
                    + maxQueued + " examples may wait, and this request would exceed that. Ask again later, or raise maxQueued");
        }
        pending.whenComplete((outputs, failure) -> ended(pending, failure));
        try {
            if (timeout != null) {
                Future<?> time = timer.schedule(() -> pending.completeExceptionally(new TimeoutException()),
                        TimeUnit.NANOSECONDS.convert(timeout), TimeUnit.NANOSECONDS);
                pending.whenComplete((outputs, failure) -> time.cancel(false));
            }
            Lease lease = cache.holdPresent(request.mixes());
            if (lease != null) {
                enqueue(pending, lease);
            } else {
                loaders.load(pending);
            }
        } catch (RuntimeException | Error e) {
            pending.completeExceptionally(e);
        }
        return pending;
    }

    private boolean admits(Pending pending) {
        lock.lock();
        try {
            if (closed) {
                throw new IllegalStateException("The bank is closed");
            }
            if (queued > 0 && queued + pending.examples() > maxQueued) {
                return false;
            }
            while (computing.size() < maxNetworks) {
                Thread thread = thread(this::work, "adapter-bank-" + (computing.size() + 1));
                thread.start();
                computing.add(thread);
            }
            queued += pending.examples();
            return true;
        } finally {
            lock.unlock();
        }
    }

    private Thread thread(Runnable work, String name) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        lock.lock();
        try {
            threads.add(thread);
        } finally {
            lock.unlock();
        }
        return thread;
    }

    private void enqueue(Pending pending, Lease lease) {
        boolean late;
        lock.lock();
        try {
            late = pending.isDone();
            if (late) {
                countOut(pending);
            } else {
                pending.hold(lease);
                batcher.add(pending);
                changed.signal();
            }
        } finally {
            lock.unlock();
        }
        if (late) {
            lease.close();
        }
    }

    /** A request was answered, failed, timed out or was cancelled. */
    private void ended(Pending pending, @Nullable Throwable failure) {
        boolean waited;
        lock.lock();
        try {
            countOut(pending);
            waited = batcher.remove(pending);
        } finally {
            lock.unlock();
        }
        if (waited) {
            pending.lease().close();
        }
        loaders.forget(pending);
        metrics.ended(pending.request().mixes().get(0), outcome(pending, failure), System.nanoTime() - pending.since());
    }

    /**
     * Stops counting a request among those that wait. This comes before it ends, also where it fails or is cancelled: what
     * depends on it runs before {@link #ended}, may close the bank, and would wait for itself if the request still counted.
     */
    private void countOut(Pending pending) {
        lock.lock();
        try {
            if (pending.countOut()) {
                queued -= pending.examples();
                if (closed && queued == 0) {
                    changed.signalAll();
                }
            }
        } finally {
            lock.unlock();
        }
    }

    private static BankMetrics.Outcome outcome(Pending pending, @Nullable Throwable failure) {
        Throwable cause = failure instanceof CompletionException && failure.getCause() != null ? failure.getCause() : failure;
        return cause == null ? BankMetrics.Outcome.ANSWERED : pending.isCancelled() ? BankMetrics.Outcome.CANCELLED
                : cause instanceof TimeoutException ? BankMetrics.Outcome.TIMED_OUT : BankMetrics.Outcome.FAILED;
    }

    private void work() {
        for (List<Pending> batch = next(); !batch.isEmpty(); batch = next()) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                compute(batch);
            } catch (RuntimeException | Error e) {
                batch.forEach(pending -> pending.completeExceptionally(e));
            } finally {
                batch.forEach(pending -> pending.lease().close());
            }
        }
    }

    /** Waits for a batch; none when the queue is closed and nothing is left in it. */
    private List<Pending> next() {
        lock.lock();
        try {
            for (;;) {
                List<Pending> batch = batcher.take(System.nanoTime(), closed);
                if (!batch.isEmpty()) {
                    batch.forEach(this::countOut);
                    if (!batcher.isEmpty()) {
                        changed.signal();
                    }
                    return batch;
                }
                if (closed && queued == 0) {
                    return List.of();
                }
                await(batcher.untilReady(System.nanoTime()));
            }
        } finally {
            lock.unlock();
        }
    }

    /** The caller asks in a loop. */
    @SuppressWarnings("WaitNotInLoop")
    private void await(long nanos) {
        try {
            if (nanos == Long.MAX_VALUE) {
                changed.await();
            } else {
                changed.awaitNanos(nanos);
            }
        } catch (InterruptedException e) {
            // These threads are the queue's own, and end when it is closed.
        }
    }

    private void compute(List<Pending> batch) {
        if (batch.size() == 1) {
            Pending only = batch.get(0);
            only.complete(passes.compute(only.lease().mixes(), only.request().features()));
            return;
        }
        INDArray[] outputs = together(batch);
        if (outputs == null) {
            batch.forEach(this::alone);
            return;
        }
        long examples = batch.stream().mapToLong(Pending::examples).sum();
        long from = 0;
        for (Pending pending : batch) {
            long first = from;
            long end = first + pending.examples();
            pending.complete(Arrays.stream(outputs).map(output -> {
                long each = output.size(0) / examples;
                return Views.rows(output, first * each, end * each).dup();
            }).toArray(INDArray[]::new));
            from = end;
        }
    }

    /** Null if they cannot be computed together, or nobody knows whose rows are whose. */
    private INDArray @Nullable [] together(List<Pending> batch) {
        try {
            List<ServedMix> mixes = batch.stream().flatMap(pending -> byExample(pending).stream()).toList();
            Features features = Features.concat(batch.stream().map(pending -> pending.request().features()).toList());
            INDArray[] outputs = passes.compute(mixes, features);
            return passes.areByExample(outputs, mixes, features) ? outputs : null;
        } catch (RuntimeException | Error e) {
            // Perhaps only one of them cannot be computed.
            return null;
        }
    }

    private void alone(Pending pending) {
        try {
            pending.complete(passes.compute(pending.lease().mixes(), pending.request().features()));
        } catch (RuntimeException | Error e) {
            pending.completeExceptionally(e);
        }
    }

    private static List<ServedMix> byExample(Pending pending) {
        List<ServedMix> mixes = pending.lease().mixes();
        return mixes.size() == 1 ? Collections.nCopies((int) pending.examples(), mixes.get(0)) : mixes;
    }

    long queued() {
        lock.lock();
        try {
            return queued;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Takes no more requests, waits until those that it has are answered, and runs {@code rest}. One of its own threads, which
     * would wait for itself, leaves this to another.
     */
    void close(Runnable rest) {
        boolean own;
        boolean first;
        lock.lock();
        try {
            own = threads.contains(Thread.currentThread());
            first = !closed;
            closed = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (!own) {
            end(rest);
        } else if (first) {
            thread(() -> end(rest), "adapter-bank-closer").start();
        }
    }

    private void end(Runnable rest) {
        boolean interrupted = false;
        for (Thread thread : computing()) {
            while (thread.isAlive()) {
                try {
                    thread.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        loaders.shutDown();
        timer.shutdown();
        rest.run();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** The threads that compute. None is added once the queue is closed. */
    private List<Thread> computing() {
        lock.lock();
        try {
            return List.copyOf(computing);
        } finally {
            lock.unlock();
        }
    }
}
