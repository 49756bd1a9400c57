package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Zips;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.factory.Nd4j;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.CRC32;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A sound file of an adapted network, to be spoiled: what is refused must name the file and what is wrong with it. */
abstract class HostileFile {

    static final String CONFIGURATION = ModelSerializer.CONFIGURATION_JSON;
    static final String COEFFICIENTS = ModelSerializer.COEFFICIENTS_BIN;
    static final String UPDATER = ModelSerializer.UPDATER_BIN;
    static final String INDEX = "frozen/index.json";

    @TempDir
    Path folder;
    Path file;
    Map<String, byte[]> entries;

    @BeforeEach
    void aSoundFile() throws IOException {
        file = folder.resolve("model.zip");
        save(Kind.GRAPH_SHARED);
    }

    void save(Kind kind) throws IOException {
        Model adapted = kind.adapt(kind.base());
        Models.fit(adapted, 1);
        LoRA.save(adapted, file, true);
        entries = Zips.read(file);
    }

    void refused(String... parts) throws IOException {
        Zips.write(file, entries);
        loadIsRefused(parts);
    }

    void loadIsRefused(String... parts) {
        assertThatThrownBy(() -> LoRA.loadComputationGraph(file)).isInstanceOf(IOException.class)
                .hasMessageContaining("model.zip").hasMessageContainingAll(parts);
    }

    /** On Linux. */
    void refusalsLeaveNothingOpen(String part) throws IOException {
        loadIsRefused(part);
        long before = open();

        for (int i = 0; i < 50; i++) {
            loadIsRefused(part);
        }

        assertThat(open()).isLessThan(before + 10);
    }

    private static long open() throws IOException {
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            return descriptors.count();
        }
    }

    String configuration() {
        return new String(entries.get(CONFIGURATION), StandardCharsets.UTF_8);
    }

    void configure(String text) {
        entries.put(CONFIGURATION, text.getBytes(StandardCharsets.UTF_8));
    }

    /** What Nd4j.write puts before {@code length} values of a row vector. */
    static byte[] header(String type, long length) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeUTF("LONG_SHAPE");
            out.writeLong(8);
            out.writeUTF("LONG");
            for (long number : new long[] {2, 1, length, 1, 1, 8192, 1, 'c'}) {
                out.writeLong(number);
            }
            out.writeUTF("MIXED_DATA_TYPES");
            out.writeLong(length);
            out.writeUTF(type);
        }
        return bytes.toByteArray();
    }

    /** Changes the checksum in the central directory, the one that is read. */
    static byte[] withCrc(byte[] zip, String name, byte[] content) {
        CRC32 sum = new CRC32();
        sum.update(content);
        ByteBuffer bytes = ByteBuffer.wrap(zip).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < zip.length - 46; i++) {
            if (bytes.getInt(i) == 0x02014b50 && bytes.getInt(i + 16) == (int) sum.getValue()
                    && new String(zip, i + 46, name.length(), StandardCharsets.US_ASCII).equals(name)) {
                bytes.putInt(i + 16, ~bytes.getInt(i + 16));
                return zip;
            }
        }
        throw new AssertionError("not found");
    }

    static byte[] joined(byte[] head, byte[] tail) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.writeBytes(head);
        bytes.writeBytes(tail);
        return bytes.toByteArray();
    }
}
