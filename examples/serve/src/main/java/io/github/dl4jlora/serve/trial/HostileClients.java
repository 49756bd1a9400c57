package io.github.dl4jlora.serve.trial;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Clients that keep connections open and send a byte now and then: of chunked bodies, of bodies with a length, of heads, and of
 * further requests after they have asked for much that they do not read. A client whose connection is ended comes back at once.
 */
final class HostileClients implements AutoCloseable {

    private static final int PAUSE_MILLIS = 250;
    private static final int SMALL_BUFFER = 2_048;
    private static final String OUTPUTS = "POST /v1/adapters/__base__/outputs HTTP/1.1\r\nHost: localhost\r\n"
            + "Content-Type: application/json\r\n";
    private static final List<Kind> KINDS = List.of(
            new Kind(OUTPUTS + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n"),
            new Kind(OUTPUTS + "Content-Length: 100000\r\n\r\n{", " "),
            new Kind(OUTPUTS + "X-More: ", "x"),
            new Kind("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500), "G"));

    private final URI service;
    private final Socket[] sockets;
    private final AtomicInteger sentAway = new AtomicInteger();
    private final Thread thread;
    private volatile boolean ended;

    /**
     * What one kind of client does.
     *
     * @param first is sent at once
     * @param more  is sent now and then
     */
    private record Kind(String first, String more) {
    }

    /** Starts the clients. */
    HostileClients(URI service, int count) {
        this.service = service;
        this.sockets = new Socket[count];
        for (int i = 0; i < count; i++) {
            open(i);
        }
        thread = new Thread(this::trickle, "hostile clients");
        thread.start();
    }

    /** How often a client's connection was ended. */
    int sentAway() {
        return sentAway.get();
    }

    private void trickle() {
        while (!ended) {
            for (int i = 0; i < sockets.length; i++) {
                if (!send(i, kind(i).more)) {
                    sentAway.incrementAndGet();
                    open(i);
                }
            }
            try {
                Thread.sleep(PAUSE_MILLIS);
            } catch (InterruptedException e) {
                return;
            }
        }
    }

    private static Kind kind(int client) {
        return KINDS.get(client % KINDS.size());
    }

    private void open(int client) {
        try {
            close(client);
            Socket socket = new Socket();
            socket.setReceiveBufferSize(SMALL_BUFFER);
            socket.setTcpNoDelay(true);
            socket.connect(new InetSocketAddress(service.getHost(), service.getPort()));
            sockets[client] = socket;
            send(client, kind(client).first);
        } catch (IOException e) {
            // Not let in; it tries again.
            sockets[client] = null;
        }
    }

    private boolean send(int client, String text) {
        try {
            sockets[client].getOutputStream().write(text.getBytes(StandardCharsets.US_ASCII));
            return true;
        } catch (IOException | RuntimeException e) {
            return false;
        }
    }

    private void close(int client) throws IOException {
        if (sockets[client] != null) {
            sockets[client].close();
        }
    }

    @Override
    public void close() throws IOException {
        ended = true;
        thread.interrupt();
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        for (int i = 0; i < sockets.length; i++) {
            close(i);
        }
    }
}
