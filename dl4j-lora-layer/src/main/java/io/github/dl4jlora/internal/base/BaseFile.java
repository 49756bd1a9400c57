package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.BaseOpener;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.common.UriSecrets;
import io.github.dl4jlora.internal.stored.StreamedBase;
import io.github.dl4jlora.internal.stored.StreamedModel;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.MalformedURLException;
import java.net.URI;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * The file at a base's location, wherever that is. Reading from a server ends after a while if the server does not answer, and
 * after {@value #LONGEST} bytes if it goes on sending.
 */
final class BaseFile {

    /** System property: how many seconds a server may take to connect, or between two pieces of its answer. */
    static final String TIMEOUT = "dl4jlora.base.timeout";
    /** System property: how many bytes at most are taken from another machine. */
    static final String LIMIT = "dl4jlora.base.limit";
    /** System property: the schemes of locations that are opened, with commas between; if it is not set, all schemes. */
    static final String SCHEMES = "dl4jlora.base.schemes";

    private static final long PATIENCE = 60;
    private static final long LONGEST = 16L << 30;

    private BaseFile() {
    }

    /** Takes a layer that lies in a {@link MappedFile}. */
    @FunctionalInterface
    interface MappedLayers {
        void accept(FrozenWeights claimed) throws IOException;
    }

    /**
     * Reads the layers of the network at a location.
     *
     * @param taker  takes layers that are read
     * @param mapped takes layers that lie in a file that {@code LoRA.writeBase} wrote
     * @throws IOException if there is no network; neither its message nor its cause has secrets of the URI
     */
    static void forEach(URI location, StreamedBase.LayerValues taker, MappedLayers mapped) throws IOException {
        try {
            refuseOtherSchemes(location);
            if (isFile(location)) {
                read(file(location), taker, mapped);
            } else {
                fetch(location, taker, mapped);
            }
        } catch (IOException | RuntimeException e) {
            throw UriSecrets.redacted(e, location);
        }
    }

    private static boolean isFile(URI location) {
        return "file".equalsIgnoreCase(location.getScheme());
    }

    private static void refuseOtherSchemes(URI location) throws IOException {
        String opened = System.getProperty(SCHEMES);
        String scheme = location.getScheme();
        // Windows asks another machine for a path that begins with two slashes.
        boolean elsewhere = isFile(location) && String.valueOf(location.getPath()).startsWith("//");
        if (opened != null && (elsewhere
                || Arrays.stream(opened.split(",")).noneMatch(one -> one.strip().equalsIgnoreCase(scheme)))) {
            throw new IOException("only locations of the schemes \"" + opened + "\" are opened here. Give the network its base, "
                    + "or start Java with -D" + SCHEMES + "=" + scheme + " if you trust the address");
        }
    }

    private static void read(File file, StreamedBase.LayerValues taker, MappedLayers mapped) throws IOException {
        if (file.isFile() && MappedFile.recognises(file.toPath())) {
            for (FrozenWeights claimed : MappedFile.open(file.toPath()).weights().values()) {
                mapped.accept(claimed);
            }
        } else {
            StreamedModel.open(file).forEach(taker);
        }
    }

    private static File file(URI location) throws IOException {
        try {
            return new File(location);
        } catch (IllegalArgumentException e) {
            throw new IOException("it is not a file on this machine: " + e.getMessage() + "; give the location as "
                    + "file:///folder/base.zip", e);
        }
    }

    private static void fetch(URI location, StreamedBase.LayerValues taker, MappedLayers mapped) throws IOException {
        try (Temporary copy = Temporary.file("dl4j-lora-base", ".zip")) {
            try (InputStream in = open(location);
                    OutputStream out = Files.newOutputStream(copy.path(), StandardOpenOption.WRITE)) {
                copy(in, out, setting(LIMIT, LONGEST));
            }
            read(copy.path().toFile(), taker, mapped);
        }
    }

    private static InputStream open(URI location) throws IOException {
        Optional<BaseOpener> opener = Openers.of(location);
        if (opener.isPresent()) {
            InputStream opened = opener.get().open(location);
            if (opened == null) {
                throw new IOException(opener.get().getClass().getName() + ".open returned null; it should throw an IOException");
            }
            return opened;
        }
        URLConnection connection;
        try {
            connection = location.toURL().openConnection();
        } catch (MalformedURLException | IllegalArgumentException e) {
            throw new IOException("nothing on the class path opens \"" + location.getScheme() + ":\"; register a "
                    + BaseOpener.class.getName() + " for it, or use a file that every machine can see", e);
        }
        int patience = (int) Math.min(Integer.MAX_VALUE, TimeUnit.SECONDS.toMillis(setting(TIMEOUT, PATIENCE)));
        connection.setConnectTimeout(patience);
        connection.setReadTimeout(patience);
        connection.setUseCaches(false);
        return answer(connection);
    }

    private static InputStream answer(URLConnection connection) throws IOException {
        if (!(connection instanceof HttpURLConnection http)) {
            return connection.getInputStream();
        }
        try {
            // The code is checked first: the JDK's own exceptions quote the URI.
            int code = http.getResponseCode();
            if (code != HttpURLConnection.HTTP_OK) {
                throw new IOException("the server answered " + code + " instead of " + HttpURLConnection.HTTP_OK
                        + (code == HttpURLConnection.HTTP_UNAUTHORIZED || code == HttpURLConnection.HTTP_FORBIDDEN
                        ? "; a " + BaseOpener.class.getName() + " may send credentials" : ""));
            }
            return http.getInputStream();
        } catch (IOException e) {
            http.disconnect();
            throw e;
        }
    }

    private static void copy(InputStream in, OutputStream out, long most) throws IOException {
        byte[] piece = new byte[1 << 16];
        long left = most;
        for (int read = in.read(piece); read >= 0; read = in.read(piece)) {
            left -= read;
            if (left < 0) {
                throw new IOException("it is longer than " + most + " bytes; -D" + LIMIT + "=… allows more");
            }
            out.write(piece, 0, read);
        }
    }

    private static long setting(String property, long otherwise) throws IOException {
        String value = System.getProperty(property);
        try {
            long number = value == null ? otherwise : Long.parseLong(value.trim());
            if (number > 0) {
                return number;
            }
        } catch (NumberFormatException e) {
            // Refused below, like a number that is not positive.
        }
        throw new IOException("the system property " + property + " is \"" + value + "\"; it must be a number above 0");
    }
}
