package io.github.dl4jlora.serve;

import io.javalin.http.Context;
import io.javalin.http.Handler;
import io.javalin.http.HandlerType;
import io.javalin.http.HttpResponseException;
import io.javalin.http.MethodNotAllowedResponse;
import io.javalin.http.NotFoundResponse;
import jakarta.servlet.http.HttpServletRequest;
import org.eclipse.jetty.http.BadMessageException;
import org.eclipse.jetty.server.HttpOutput;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.util.Callback;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Sends answers without a thread that waits for slow readers. */
final class Answers {

    /**
     * Answers of up to this many bytes always have room, so that the service can report its state when it can answer nothing
     * else.
     */
    private static final int SMALL = 1 << 17;
    private static final Duration FOR_EVER = Duration.ofDays(365);

    private final Intake intake;

    Answers(Intake intake) {
        this.intake = intake;
    }

    /**
     * Has the connection end after a request whose body came in chunks. Jetty mistakes the end of some chunks (CVE-2026-2332), so
     * that a part of a body would be taken for the next request.
     */
    static void endAfterChunks(Context request) {
        if (isInChunks(request.req())) {
            request.header("Connection", "close");
        }
    }

    static boolean isInChunks(HttpServletRequest request) {
        return request.getHeader("Transfer-Encoding") != null;
    }

    /** A route that answers later, on any thread. */
    interface Later {
        CompletableFuture<?> answer(Context request) throws Exception;
    }

    /** A handler for such a route, which reports failures as all others do. */
    static Handler later(Later route) {
        return request -> request.future(() -> {
            CompletableFuture<?> answer;
            try {
                answer = route.answer(request);
            } catch (Exception e) {
                answer = CompletableFuture.failedFuture(e);
            }
            // A failure here would bypass the handlers after an answer.
            return answer.handle((done, failure) -> {
                if (failure != null) {
                    tell(request, problem(failure));
                }
                return null;
            });
        });
    }

    /** The problem to report for a failure. */
    static Problem problem(Throwable failure) {
        Throwable cause = failure;
        while ((cause instanceof CompletionException || cause instanceof UncheckedIOException) && cause.getCause() != null) {
            cause = cause.getCause();
        }
        if (cause instanceof NotFoundResponse) {
            return new Problem(404, null, cause.getMessage() + ". GET /openapi.json lists the routes");
        }
        if (cause instanceof HttpResponseException http) {
            return new Problem(http.getStatus(), null, http.getMessage());
        }
        if (cause instanceof BadMessageException bad) {
            return new Problem(bad.getCode(), null, "The request cannot be read: " + bad.getReason());
        }
        if (cause instanceof EOFException) {
            return Problem.badRequest("The connection ended before the request did");
        }
        return Inference.problem(failure);
    }

    /** Tells which methods there are, as HTTP asks for. */
    static void tellMethods(Context request, MethodNotAllowedResponse failure) {
        String methods = String.join(", ", failure.getDetails().values());
        // Javalin answers HEAD by GET's route.
        String all = methods.contains("GET") && !methods.contains("HEAD") ? methods + ", HEAD" : methods;
        request.header("Allow", all);
        tell(request, new Problem(failure.getStatus(), null, request.path() + " has no " + request.req().getMethod()
                + ", but " + all));
    }

    static void tell(Context request, Problem problem) {
        if (problem.isPassing()) {
            request.header("Retry-After", Problem.RETRY_AFTER);
        }
        request.status(problem.status()).contentType(Body.JSON).result(problem.json());
    }

    /** Comes last: sends the result, and is done when the client has read it or its time is up. */
    void send(Context request) {
        Request jetty = Request.getBaseRequest(request.req());
        if (request.resultInputStream() == null || request.method() == HandlerType.HEAD) {
            return;
        }
        Intake.Share share = intake.of(request.req());
        requireRoom(request, share);
        request.future(() -> {
            CompletableFuture<Void> sent = new CompletableFuture<>();
            try {
                InputStream result = request.resultInputStream();
                long length = result.available();
                // Replaces the result, which a waiting thread would write otherwise.
                request.result(InputStream.nullInputStream());
                HttpOutput out = jetty.getResponse().getHttpOutput();
                share.waitForClient(FOR_EVER, out::getWritten, problem -> jetty.getHttpChannel().getEndPoint().close());
                jetty.getHttpChannel().ensureConsumeAllOrNotPersistent();
                request.res().setContentLengthLong(length);
                // A client that has gone needs no report.
                out.sendContent(result, Callback.from(() -> sent.complete(null), failure -> sent.complete(null)));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return sent;
        });
    }

    private static void requireRoom(Context request, Intake.Share share) {
        try {
            int length = request.resultInputStream().available();
            if (length > SMALL) {
                share.holdAtLeast(length);
            }
        } catch (Problem full) {
            tell(request, full);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
