package io.github.dl4jlora.examples.serve;

import io.javalin.http.Context;

import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.Locale;

/** What a request brings: its type, and its bytes up to a limit. */
final class Body {

    static final String JSON = "application/json";
    static final String SAFETENSORS = "application/safetensors";
    static final String ZIP = "application/zip";
    static final String MULTIPART = "multipart/form-data";

    private Body() {
    }

    /** The body's type without parameters, in small letters; empty if the request names none. */
    static String type(Context request) {
        String type = request.contentType();
        return type == null ? "" : type.split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
    }

    /** What is said to a type that nobody here reads. */
    static Problem unknownType(Context request, String expected) {
        String type = type(request);
        String what = type.isEmpty() ? "The request names no Content-Type" : "The Content-Type is \"" + type + "\"";
        return new Problem(415, null, what + ". Send " + expected);
    }

    /**
     * The bytes, up to a limit, which have to come in time: whoever sends slowly keeps a thread.
     *
     * @throws Problem 413 if the request says that there are more, 415 if they are compressed
     */
    static InputStream stream(Context request, long most, Duration time) {
        requireFitting(request, most);
        return new Limited(request.bodyInputStream(), most, System.nanoTime() + time.toNanos());
    }

    /** As {@link #stream}, for bodies that somebody else reads. */
    static void requireFitting(Context request, long most) {
        String encoding = request.header("Content-Encoding");
        if (encoding != null && !encoding.equalsIgnoreCase("identity")) {
            throw new Problem(415, null, "The Content-Encoding is \"" + encoding + "\", but bodies are read as they are. Send it "
                    + "uncompressed");
        }
        if (request.req().getContentLengthLong() > most) {
            throw tooLarge(request.req().getContentLengthLong() + " bytes", most);
        }
    }

    static Problem tooSlow() {
        return new Problem(408, null, "The request took too long to come. Send less at a time, or have the service started with "
                + "a longer timeout");
    }

    private static Problem tooLarge(String size, long most) {
        return Problem.tooLarge("The body has " + size + ", but may have " + most + ". Send less at a time, or have the service "
                + "started with a larger limit");
    }

    /** Ends with a problem instead of the byte after the last that may be, or those that come too late. */
    private static final class Limited extends FilterInputStream {

        private final long most;
        private final long end;
        private long left;

        Limited(InputStream in, long most, long end) {
            super(in);
            this.most = most;
            this.left = most;
            this.end = end;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int start, int length) throws IOException {
            int read = super.read(bytes, start, length);
            left -= Math.max(read, 0);
            if (left < 0) {
                throw tooLarge("more than " + most + " bytes", most);
            }
            if (System.nanoTime() - end > 0) {
                throw tooSlow();
            }
            return read;
        }

        @Override
        public long skip(long n) throws IOException {
            return readNBytes((int) Math.min(n, Integer.MAX_VALUE)).length;
        }
    }
}
