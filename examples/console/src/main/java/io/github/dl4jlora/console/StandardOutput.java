package io.github.dl4jlora.console;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.util.Optional;
import java.util.stream.Stream;

/** The standard output stream, which remembers why writing failed; {@code System.out} and PrintWriter do not tell the reason. */
final class StandardOutput extends OutputStream {

    private final OutputStream stream;
    private IOException failure;

    StandardOutput() {
        this(new FileOutputStream(FileDescriptor.out));
    }

    StandardOutput(OutputStream stream) {
        this.stream = stream;
    }

    PrintWriter writer() {
        return new PrintWriter(new OutputStreamWriter(this, charset()), true);
    }

    /** The terminal's encoding, if Java knows it: newer JDKs have it under the first name, JDK 17 under the second. */
    private static Charset charset() {
        return Stream.of("stdout.encoding", "sun.stdout.encoding").map(System::getProperty)
                .filter(name -> name != null && Charset.isSupported(name)).findFirst().map(Charset::forName)
                .orElse(Charset.defaultCharset());
    }

    /** The first failure to write, if any. */
    Optional<IOException> failure() {
        return Optional.ofNullable(failure);
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int start, int length) throws IOException {
        try {
            stream.write(bytes, start, length);
        } catch (IOException e) {
            failure = failure == null ? e : failure;
            throw e;
        }
    }
}
