package io.github.dl4jlora.serve;

import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.server.HttpChannel;
import org.eclipse.jetty.server.HttpConnection;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.util.Callback;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

/**
 * Watches connections on which no request is being answered: the head of the next request must arrive in time, however slowly its
 * bytes come. If there are too many connections, one of the client with the most connections is closed.
 */
final class Connections implements Connection.Listener, HttpChannel.Listener {

    private enum Phase { NEXT, REQUEST, GONE }

    /** Time to send the reason, and to send a request that was on its way when the service began to stop. */
    private static final Duration FAREWELL = Duration.ofSeconds(1);

    /** How long the body of a request may pause while the service stops. */
    static final Duration PAUSE = Duration.ofSeconds(10);

    /** How long a connection may wait for a next request: longer than the 60 s of common proxies, which may use it until then. */
    static final Duration IDLE = Duration.ofSeconds(75);

    private final int most;
    private final Pace pace;
    private final Intake intake;
    private final Map<EndPoint, Watched> open = new ConcurrentHashMap<>();
    /** When the service began to stop; null before. */
    private volatile @Nullable Long draining;

    private static final class Watched {

        private final HttpConnection connection;
        private final String address;
        private final AtomicReference<Phase> phase = new AtomicReference<>(Phase.NEXT);
        /** When the last request ended, and how many bytes had come then. */
        private volatile long since = System.nanoTime();
        private volatile long before;
        /** When a byte of the next request was first seen; 0 if there was none yet. */
        private volatile long begun;

        Watched(HttpConnection connection) {
            this.connection = connection;
            this.address = connection.getEndPoint().getRemoteSocketAddress() instanceof InetSocketAddress from
                    ? from.getAddress().getHostAddress() : "";
        }

        void next() {
            before = connection.getBytesIn();
            since = System.nanoTime();
            begun = 0;
            phase.compareAndSet(Phase.REQUEST, Phase.NEXT);
        }

        boolean stays() {
            return phase.get() != Phase.GONE;
        }

        boolean isNext() {
            return phase.get() == Phase.NEXT;
        }
    }

    /** @param most connections */
    Connections(int most, Pace pace, Intake intake) {
        this.most = most;
        this.pace = pace;
        this.intake = intake;
    }

    int count() {
        return open.size();
    }

    /** To be called before the server stops, which waits for all connections: from now on idle ones end after a second. */
    void drain() {
        draining = System.nanoTime();
    }

    @Override
    public void onOpened(Connection connection) {
        if (connection instanceof HttpConnection http) {
            Watched watched = new Watched(http);
            open.put(http.getEndPoint(), watched);
            if (open.size() > most) {
                makeRoom(watched);
            }
        }
    }

    /**
     * Connections open on several threads at once, and the chosen one may begin a request just then. So one thread at a time
     * chooses, and goes on until there is room.
     */
    private synchronized void makeRoom(Watched last) {
        while (open.values().stream().filter(Watched::stays).count() > most && last.isNext()) {
            makePlace(last);
        }
    }

    /** All clients of a proxy have one address. Of the connections of one address, the one that has waited longest goes. */
    private void makePlace(Watched last) {
        Map<String, Long> counts = open.values().stream()
                .collect(Collectors.groupingBy(watched -> watched.address, Collectors.counting()));
        Optional<Watched> first = open.values().stream().filter(watched -> watched != last && watched.isNext())
                .max(Comparator.comparingLong((Watched watched) -> counts.getOrDefault(watched.address, 0L))
                        .thenComparingLong(watched -> System.nanoTime() - watched.since));
        leave(first.orElse(last), Problem.unavailable("There are " + most + " connections already. Ask again later, or have the "
                + "service started with a larger --max-connections"));
    }

    @Override
    public void onClosed(Connection connection) {
        open.remove(connection.getEndPoint());
    }

    @Override
    public void onRequestBegin(Request request) {
        Watched watched = open.get(request.getHttpChannel().getEndPoint());
        if (watched != null && !watched.phase.compareAndSet(Phase.NEXT, Phase.REQUEST)) {
            request.getHttpChannel().abort(new IOException("The connection was ended before the request's head was there"));
        }
    }

    @Override
    public void onComplete(Request request) {
        intake.close(request);
        Watched watched = open.get(request.getHttpChannel().getEndPoint());
        if (watched != null) {
            watched.next();
        }
    }

    /** Ends connections that are too slow. To be called a few times a second. */
    void sweep() {
        long now = System.nanoTime();
        for (Watched watched : open.values()) {
            if (watched.isNext()) {
                if (watched.begun == 0 && watched.connection.getBytesIn() > watched.before) {
                    watched.begun = now;
                }
                if (isIdleTooLong(watched, now) || watched.begun != 0 && now - watched.begun > pace.nanos(0)) {
                    leave(watched, Problem.tooSlow());
                }
            } else if (watched.phase.get() == Phase.GONE && now - watched.since > FAREWELL.toNanos()) {
                watched.connection.getEndPoint().close();
            }
        }
    }

    private boolean isIdleTooLong(Watched watched, long now) {
        Long stopping = draining;
        return now - watched.since > IDLE.toNanos() || stopping != null && watched.begun == 0
                && Math.min(now - watched.since, now - stopping) > FAREWELL.toNanos();
    }

    /** Ends a connection, with the reason if a part of a request has arrived. */
    private static void leave(Watched watched, Problem problem) {
        if (!watched.phase.compareAndSet(Phase.NEXT, Phase.GONE)) {
            return;
        }
        watched.since = System.nanoTime();
        EndPoint endPoint = watched.connection.getEndPoint();
        if (watched.begun == 0) {
            endPoint.close();
            return;
        }
        byte[] body = problem.json().getBytes(StandardCharsets.UTF_8);
        ByteBuffer head = ByteBuffer.wrap(("HTTP/1.1 " + problem.status() + " \r\nContent-Type: " + Body.JSON
                + (problem.isPassing() ? "\r\nRetry-After: " + Problem.RETRY_AFTER : "")
                + "\r\nContent-Length: " + body.length + "\r\nConnection: close\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
        try {
            endPoint.write(Callback.from(endPoint::close), head, ByteBuffer.wrap(body));
        } catch (RuntimeException e) {
            // An answer is still being written.
            endPoint.close();
        }
    }
}
