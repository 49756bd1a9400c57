package io.github.dl4jlora.transformers.tensorflow;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** The reader of tables against files that lie. */
class SortedTableTest {

    @TempDir
    private Path folder;

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static SortedMap<String, byte[]> some() {
        SortedMap<String, byte[]> values = new TreeMap<>();
        for (String key : List.of("", "bert/a", "bert/a/b", "bert/ab", "bert/b", "cls", "cls/ä")) {
            values.put(key, bytes("value of " + key));
        }
        return values;
    }

    private Path file(byte[] content) throws IOException {
        return Files.write(folder.resolve("x.index"), content);
    }

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Map<String, byte[]> read = SortedTable.read(file(TableBytes.of(some())));

        assertThat(read.keySet()).containsExactlyElementsOf(some().keySet());
        some().forEach((key, value) -> assertThat(read.get(key)).isEqualTo(value));
    }

    static Stream<Arguments> lies() {
        byte[] good = TableBytes.of(some());
        return Stream.of(
                arguments("empty", new byte[0], "has 0 bytes"),
                arguments("nothing but a footer", Arrays.copyOfRange(good, good.length - 48, good.length), "does not fit"),
                arguments("cut off", Arrays.copyOf(good, good.length - 1), "is not the index of a TensorFlow checkpoint"),
                arguments("another magic", Arrays.copyOf(good, good.length + 8), "last eight bytes are 0, expected db47"),
                arguments("keys not in order",
                        new TableBytes().of(List.of(Map.entry("b", bytes("1")), Map.entry("a", bytes("2"))), 3),
                        "its key \"a\" comes after \"b\""),
                arguments("keys not in order over blocks",
                        new TableBytes().of(List.of(Map.entry("b", bytes("1")), Map.entry("a", bytes("2"))), 1),
                        "its key \"a\" comes after \"b\""),
                arguments("a key twice", new TableBytes().of(List.of(Map.entry("a", bytes("1")), Map.entry("a", bytes("2"))), 3),
                        "its key \"a\" comes after \"a\""),
                arguments("Snappy", new TableBytes().compressed(1).of(List.copyOf(some().entrySet()), 3), "compressed (Snappy)"),
                arguments("unknown compression", new TableBytes().compressed(7).of(List.copyOf(some().entrySet()), 3),
                        "compressed (type 7)"),
                arguments("no room for an entry", block(0, 0, 0, 0), "0 restarts"),
                arguments("three bytes", block(0, 0, 0), "does not fit"),
                arguments("negative restarts", block(0, 0, 0, 0xff, 0xff, 0xff, 0xff), "-1 restarts"),
                arguments("many restarts", block(0, 0, 0, 0, 0, 0, 0x40), "1073741824 restarts"),
                arguments("a short block", block(0, 0, 0, 0, 0), "cut off"),
                arguments("more shared than there is", block(1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), "1 shared"),
                arguments("a key beyond the end", block(0, 100, 0, 0, 0, 0, 0, 1, 0, 0, 0), "100 further bytes"),
                arguments("a value beyond the end", block(0, 1, 100, 65, 0, 0, 0, 0, 1, 0, 0, 0), "100 of value"),
                arguments("a key of gigabytes", block(0, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0), "cut off"),
                arguments("a number without end", block(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                        0, 0, 0, 0, 1, 0, 0, 0), "cut off"),
                arguments("half an entry", block(0, 0, 0, 0, 0, 1, 0, 0, 0), "cut off"),
                arguments("a handle that is none", handle(bytes("ÿÿ")), "cut off"),
                arguments("an empty handle", handle(new byte[0]), "cut off"),
                arguments("a block beyond the file", handle(new byte[] {0, (byte) 0x80, 2}), "does not fit"),
                arguments("a block from beyond the file", handle(new byte[] {(byte) 0x80, 2, 8}), "does not fit"),
                arguments("the same block twice", twice(), "the one before it ends at"),
                arguments("keys that grow from a few bytes", grown(), "keys of more than"));
    }

    /** A table whose only data block has these bytes. */
    private static byte[] block(int... content) {
        ByteBuffer block = ByteBuffer.allocate(content.length);
        Arrays.stream(content).forEach(value -> block.put((byte) value));
        TableBytes table = new TableBytes();
        return table.ending(new byte[2], table.block(List.of(Map.entry(bytes("z"), table.raw(block.array())))));
    }

    private static byte[] handle(byte[] handle) {
        TableBytes table = new TableBytes();
        return table.ending(new byte[2], table.block(List.of(Map.entry(bytes("z"), handle))));
    }

    private static byte[] twice() {
        TableBytes table = new TableBytes();
        byte[] handle = table.block(List.of(Map.entry(bytes("a"), bytes("1"))));
        return table.ending(new byte[2], table.block(List.of(Map.entry(bytes("a"), handle), Map.entry(bytes("b"), handle))));
    }

    /** One long key, and thousands that share nearly all of it. */
    private static byte[] grown() {
        ByteArrayOutputStream block = new ByteArrayOutputStream();
        int length = 100_000;
        TableBytes.number(block, 0);
        TableBytes.number(block, length);
        TableBytes.number(block, 0);
        block.writeBytes(bytes("a".repeat(length)));
        for (int i = 1; i < 1000; i++) {
            TableBytes.number(block, length + i - 1);
            TableBytes.number(block, 1);
            TableBytes.number(block, 0);
            block.write('a');
        }
        TableBytes.fixed(block, 0);
        TableBytes.fixed(block, 1);
        TableBytes table = new TableBytes();
        return table.ending(new byte[2], table.block(List.of(Map.entry(bytes("z"), table.raw(block.toByteArray())))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("lies")
    void aLyingTableIsRefused(String lie, byte[] content, String reason) throws IOException {
        Path file = file(content);

        assertThatThrownBy(() -> SortedTable.read(file)).isInstanceOf(IOException.class)
                .hasMessageContaining(file.toString()).hasMessageContaining(reason);
    }

    @Test
    void aFileThatIsNotThereOrFarTooLargeIsRefused() throws IOException {
        Path large = folder.resolve("large");
        try (SeekableByteChannel channel = Files.newByteChannel(large, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE,
                StandardOpenOption.SPARSE)) {
            channel.position(1L << 33).write(ByteBuffer.allocate(1));
        }

        assertThatThrownBy(() -> SortedTable.read(large)).isInstanceOf(IOException.class)
                .hasMessageContaining("8589934593 bytes");
        assertThatThrownBy(() -> SortedTable.read(folder.resolve("none"))).isInstanceOf(IOException.class)
                .hasMessageContaining("does not exist");
    }

    /** Some bytes of the footer are of no use to anybody, nor is the block with further information. */
    @Test
    void aDamagedByteIsNoticedOrMakesNoDifference() throws IOException {
        byte[] good = TableBytes.of(some());
        int noticed = 0;
        for (int i = 0; i < good.length; i++) {
            for (int bit = 0; bit < 8; bit++) {
                byte[] damaged = good.clone();
                damaged[i] ^= (byte) (1 << bit);
                Path file = file(damaged);
                try {
                    Map<String, byte[]> read = SortedTable.read(file);
                    assertThat(read.keySet()).as("byte " + i).containsExactlyElementsOf(some().keySet());
                    some().forEach((key, value) -> assertThat(read.get(key)).isEqualTo(value));
                } catch (IOException e) {
                    assertThat(e).hasMessageContaining(file.toString());
                    noticed++;
                }
            }
        }
        assertThat(noticed).isGreaterThan(8 * (good.length - 48 - 13));
    }
}
