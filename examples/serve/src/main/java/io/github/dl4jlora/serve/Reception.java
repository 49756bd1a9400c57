package io.github.dl4jlora.serve;

import io.javalin.http.Context;
import jakarta.servlet.ReadListener;
import jakarta.servlet.ServletInputStream;
import org.eclipse.jetty.io.AbstractEndPoint;
import org.eclipse.jetty.server.HttpChannel;
import org.eclipse.jetty.server.Request;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;

/** Receives a body: no thread waits for it, and nothing else is done for its request until the body is complete. */
final class Reception implements ReadListener {

    /** Where the bytes go. */
    interface Sink {
        void add(byte[] bytes, int length) throws IOException;
    }

    /** Time to send the reason for the end. */
    private static final long GRACE_NANOS = Duration.ofSeconds(2).toNanos();

    private final ServletInputStream in;
    private final long most;
    /** Null once the body has ended: Jetty keeps this listener, and what it refers to, until the connection's next request. */
    private volatile Sink sink;
    private final CompletableFuture<Void> whole = new CompletableFuture<>();
    private final byte[] chunk = new byte[Blocks.BLOCK];
    private volatile long arrived;
    private volatile Problem end;
    /** When it was ended. */
    private volatile long told;

    private Reception(ServletInputStream in, long most, Sink sink) {
        this.in = in;
        this.most = most;
        this.sink = sink;
    }

    /**
     * Takes a body into memory. To be called while the request is asynchronous.
     *
     * @return all of it, or a {@link Problem}: 408 if it comes too slowly, 413 if it is too large, 415 if it is compressed or
     *         not in UTF-8, 429 if there is no room for it
     */
    static CompletableFuture<Blocks> inMemory(Context request, Intake.Share share, long most, Duration longest)
            throws IOException {
        Blocks blocks = new Blocks();
        return start(request, share, most, longest, (bytes, length) -> {
            share.add(length);
            blocks.add(bytes, length);
        }).thenApply(whole -> blocks);
    }

    /** As {@link #inMemory}, into a sink. */
    static CompletableFuture<Void> start(Context request, Intake.Share share, long most, Duration longest, Sink sink)
            throws IOException {
        Body.requireFitting(request, most);
        Request jetty = Request.getBaseRequest(request.req());
        // Not earlier: this tells the client that it may send.
        ServletInputStream in = request.req().getInputStream();
        Reception reception = new Reception(in, most, sink);
        share.waitForClient(longest, () -> reception.arrived, problem -> reception.end(problem, jetty.getHttpChannel()));
        in.setReadListener(reception);
        return reception.whole.whenComplete((whole, failure) -> share.work());
    }

    @Override
    public void onDataAvailable() throws IOException {
        while (in.isReady()) {
            int read = in.read(chunk);
            if (read < 0) {
                return;
            }
            arrived += read;
            if (arrived > most) {
                throw Body.tooLarge("more than " + most + " bytes", most);
            }
            if (end != null) {
                throw end;
            }
            sink.add(chunk, read);
        }
    }

    @Override
    public void onAllDataRead() {
        sink = null;
        whole.complete(null);
    }

    @Override
    public void onError(Throwable failure) {
        sink = null;
        boolean isIdle = failure instanceof TimeoutException || failure.getCause() instanceof TimeoutException;
        whole.completeExceptionally(end != null ? end : isIdle ? Problem.tooSlow() : failure);
    }

    /**
     * The next byte ends it, or the lack of one: as if the connection had been idle for too long. A client that keeps sending
     * other bytes than those of a body, such as an endless chunk size, causes neither, so its connection is closed after a while.
     */
    private void end(Problem problem, HttpChannel channel) {
        if (end == null) {
            told = System.nanoTime();
            end = problem;
        } else if (System.nanoTime() - told > GRACE_NANOS) {
            channel.getEndPoint().close();
        }
        if (channel.getEndPoint() instanceof AbstractEndPoint endPoint) {
            channel.getConnector().getExecutor().execute(() -> endPoint.getFillInterest().onFail(new TimeoutException()));
        }
    }
}
