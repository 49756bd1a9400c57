package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankOverloadedException;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.bank.UnknownAdapterException;
import org.deeplearning4j.exception.DL4JException;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.exception.ND4JIllegalArgumentException;
import org.nd4j.linalg.exception.ND4JIllegalStateException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/** Asks a bank, and translates failures into HTTP. */
final class Inference {

    private static final Logger LOG = LoggerFactory.getLogger(Inference.class);

    private final AdapterBank bank;
    private final Duration timeout;

    Inference(AdapterBank bank, Duration timeout) {
        this.bank = bank;
        this.timeout = timeout;
    }

    /**
     * Parses a client's model name.
     *
     * @throws Problem if it is not a mix of adapters
     */
    static AdapterMix mix(String model) {
        try {
            return AdapterMix.parse(model);
        } catch (IllegalArgumentException e) {
            throw Problem.badRequest(e.getMessage());
        }
    }

    /**
     * As {@link #mix(String)}; a model's own name asks for no adapter.
     *
     * @param own that name; null for none
     */
    static AdapterMix mix(String model, String own) {
        return model.equals(own) ? AdapterMix.base() : mix(model);
    }

    /** Answers the parts of one request, each with outputs or a {@link Problem}, until the request's time is up. */
    Function<BankRequest, CompletableFuture<INDArray[]>> untilTimeout() {
        long start = System.nanoTime();
        return request -> outputs(request, timeout.minusNanos(System.nanoTime() - start));
    }

    private CompletableFuture<INDArray[]> outputs(BankRequest request, Duration left) {
        try {
            return bank.submit(request, left.isNegative() ? Duration.ZERO : left).exceptionally(failure -> {
                throw problem(failure);
            });
        } catch (IllegalStateException e) {
            throw Problem.unavailable(bank.baseStatus().defect()
                    .map(defect -> "The base has changed since the service started: " + defect)
                    .orElse(e.getMessage() + ". Ask again later"));
        } catch (RuntimeException e) {
            throw problem(e);
        }
    }

    /** The problem to report for a failure. */
    static Problem problem(Throwable failure) {
        Throwable cause = failure;
        while (cause instanceof CompletionException && cause.getCause() != null) {
            cause = cause.getCause();
        }
        if (cause instanceof Problem problem) {
            return problem;
        }
        if (cause instanceof UnknownAdapterException unknown) {
            return Problem.unknownAdapter(unknown.getAdapter());
        }
        if (cause instanceof BankOverloadedException) {
            return new Problem(429, "overloaded", cause.getMessage());
        }
        if (cause instanceof TimeoutException) {
            return new Problem(503, Problem.TIMEOUT, "There was no answer in time. Ask for less at a time, or have the service "
                    + "started with a longer --timeout");
        }
        if (cause instanceof IllegalArgumentException || cause instanceof IllegalStateException
                || cause instanceof DL4JException || cause instanceof ND4JIllegalStateException
                || cause instanceof ND4JIllegalArgumentException) {
            // The network's own checks of inputs whose shape is not in its configuration.
            return Problem.badRequest(cause.getMessage());
        }
        if (cause instanceof UncheckedIOException) {
            // Its message may contain paths of this machine.
            LOG.warn(cause.getMessage());
            return new Problem(500, null, "An adapter, or the folder of adapters, cannot be read. The service's log says why");
        }
        LOG.error("A request failed", cause);
        return new Problem(500, null, "The service failed: " + cause.getClass().getSimpleName() + ". Its log says more");
    }
}
