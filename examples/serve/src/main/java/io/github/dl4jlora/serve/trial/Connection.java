package io.github.dl4jlora.serve.trial;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * A client's connection, kept from request to request, which can be broken off at unusual points. For one thread. It takes little
 * processor time, so that a service on the same machine gets most of it.
 */
final class Connection implements AutoCloseable {

    private static final int PATIENCE_MILLIS = 120_000;
    private static final int BUFFER = 1 << 16;
    /** For hanging up during an answer: so small that the service is still writing it. */
    private static final int SMALL_BUFFER = 2_048;

    private final URI service;
    private Socket socket;
    private InputStream in;

    /** An answer of HTTP. */
    record Answer(int status, String type, byte[] body) {

        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }
    }

    Connection(URI service) {
        this.service = service;
    }

    URI service() {
        return service;
    }

    /** @param headers whole lines */
    static byte[] request(String method, String path, String type, byte[] body, String... headers) {
        StringBuilder head = new StringBuilder(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n");
        for (String header : headers) {
            head.append(header).append("\r\n");
        }
        if (body.length > 0) {
            head.append("Content-Type: ").append(type).append("\r\nContent-Length: ").append(body.length).append("\r\n");
        }
        ByteArrayOutputStream request = new ByteArrayOutputStream(head.length() + 2 + body.length);
        request.writeBytes(head.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII));
        request.writeBytes(body);
        return request.toByteArray();
    }

    /** Opens a connection if there is none. */
    Answer ask(byte[] request) throws IOException {
        if (socket == null) {
            open(0);
        }
        try {
            socket.getOutputStream().write(request);
            return answer();
        } catch (IOException | RuntimeException e) {
            close();
            throw e;
        }
    }

    private void open(int receiveBuffer) throws IOException {
        socket = new Socket();
        if (receiveBuffer > 0) {
            socket.setReceiveBufferSize(receiveBuffer);
        }
        try {
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(PATIENCE_MILLIS);
            socket.connect(new InetSocketAddress(service.getHost(), service.getPort()), PATIENCE_MILLIS);
            in = new BufferedInputStream(socket.getInputStream(), BUFFER);
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    private Answer answer() throws IOException {
        int status = Integer.parseInt(line().split(" ")[1]);
        String type = "";
        long length = -1;
        boolean chunked = false;
        boolean last = false;
        for (String line = line(); !line.isEmpty(); line = line()) {
            String name = line.substring(0, line.indexOf(':')).toLowerCase(Locale.ROOT);
            String value = line.substring(line.indexOf(':') + 1).strip();
            switch (name) {
                case "content-type" -> type = value;
                case "content-length" -> length = Long.parseLong(value);
                case "transfer-encoding" -> chunked = value.equalsIgnoreCase("chunked");
                case "connection" -> last = value.equalsIgnoreCase("close");
                default -> { }
            }
        }
        byte[] body = chunked ? chunks() : length < 0 ? in.readAllBytes() : exactly((int) length);
        if (last || !chunked && length < 0) {
            close();
        }
        return new Answer(status, type, body);
    }

    private String line() throws IOException {
        StringBuilder line = new StringBuilder();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new EOFException("The service ended the connection" + (line.length() == 0 ? "" : " in the line " + line));
            }
            line.append((char) c);
        }
        return line.toString().stripTrailing();
    }

    private byte[] exactly(int length) throws IOException {
        byte[] bytes = in.readNBytes(length);
        if (bytes.length < length) {
            throw new EOFException("The service ended the connection after " + bytes.length + " of " + length + " bytes");
        }
        return bytes;
    }

    private byte[] chunks() throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        for (int size = Integer.parseInt(line(), 16); size > 0; size = Integer.parseInt(line(), 16)) {
            body.writeBytes(exactly(size));
            line();
        }
        line();
        return body.toByteArray();
    }

    /**
     * Sends a part of a request and leaves, on a separate connection.
     *
     * @param rudely with a reset instead of an end
     */
    void leaveInRequest(byte[] request, int bytes, boolean rudely) throws IOException {
        close();
        open(0);
        socket.setSoLinger(rudely, 0);
        socket.getOutputStream().write(request, 0, bytes);
        close();
    }

    /**
     * Reads a part of the answer and leaves, on a separate connection.
     *
     * @return the answer's status
     */
    int leaveInAnswer(byte[] request, int bytes) throws IOException {
        close();
        open(SMALL_BUFFER);
        try {
            socket.setSoLinger(true, 0);
            socket.getOutputStream().write(request);
            int status = Integer.parseInt(line().split(" ")[1]);
            in.readNBytes(bytes);
            return status;
        } finally {
            close();
        }
    }

    @Override
    public void close() {
        if (socket != null) {
            try {
                socket.close();
            } catch (IOException e) {
                // The connection is no longer used, whatever the reason.
            }
            socket = null;
        }
    }
}
