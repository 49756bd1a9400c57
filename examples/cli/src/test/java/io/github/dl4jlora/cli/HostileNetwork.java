package io.github.dl4jlora.cli;

import io.github.dl4jlora.Zips;
import org.deeplearning4j.util.ModelSerializer;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.ObjectOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Files that no command can read, each made of a sound network. */
enum HostileNetwork {
    GONE((sound, at) -> { }),
    EMPTY((sound, at) -> Files.createFile(at)),
    NO_ZIP((sound, at) -> Files.writeString(at, "no zip, no JSON and no tensors")),
    TRUNCATED((sound, at) -> Files.write(at, Arrays.copyOf(Files.readAllBytes(sound), (int) Files.size(sound) / 2))),
    GZIP((sound, at) -> {
        try (GZIPOutputStream out = new GZIPOutputStream(Files.newOutputStream(at))) {
            out.write(Files.readAllBytes(sound));
        }
    }),
    LFS_POINTER((sound, at) -> Files.writeString(at, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n")),
    WEB_PAGE((sound, at) -> Files.writeString(at, "<!DOCTYPE html>\n<html><title>Sign in</title></html>\n")),
    FOLDER((sound, at) -> Files.createDirectory(at)),
    LOOP((sound, at) -> Files.createSymbolicLink(at, at)),
    ENDLESS((sound, at) -> Files.createSymbolicLink(at, Path.of("/dev/zero"))),
    PIPE((sound, at) -> new ProcessBuilder("mkfifo", at.toString()).start().waitFor()),
    ONLY_CONFIGURATION((sound, at) -> change(sound, at, entries -> entries.keySet().retainAll(Set.of("configuration.json")))),
    ONLY_PARAMETERS((sound, at) -> change(sound, at, entries -> entries.remove("configuration.json"))),
    NESTED_JSON((sound, at) -> configured(sound, at, "[".repeat(1_000_000))),
    LONG_JSON((sound, at) -> configured(sound, at, " ".repeat(20 << 20))),
    OTHER_JSON((sound, at) -> configured(sound, at, "{\"confs\": [{\"layer\": {\"@class\": \"java.lang.Thread\"}}]}")),
    HALF_JSON((sound, at) -> configured(sound, at, "{\n\"confs\": [")),
    OLD_LAYERS((sound, at) -> configured(sound, at, "{\"confs\": [" + ("{\"layer\": {\"@class\": "
            + "\"org.deeplearning4j.nn.conf.layers.DenseLayer\", \"nin\": 1, \"nout\": 1}},").repeat(5000) + "{}]}")),
    HUGE_LAYER((sound, at) -> change(sound, at, entries -> entries.put("configuration.json", text(entries).replace("\"nout\" : 7",
            "\"nout\" : 2000000000").getBytes(StandardCharsets.UTF_8)))),
    HUGE_VECTOR((sound, at) -> change(sound, at, entries -> Arrays.fill(entries.get("coefficients.bin"), 105, 110, (byte) 0x7f))),
    BOMB((sound, at) -> {
        Map<String, byte[]> entries = Zips.read(sound);
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(at))) {
            zip.putNextEntry(new ZipEntry("configuration.json"));
            zip.write(entries.get("configuration.json"));
            Zips.putZeros(zip, "coefficients.bin", entries.get("coefficients.bin"), 100 << 20);
        }
    }),
    TWINS((sound, at) -> {
        change(sound, at, entries -> entries.put("c0nfiguration.json", "{}".getBytes(StandardCharsets.UTF_8)));
        Files.write(at, new String(Files.readAllBytes(at), StandardCharsets.ISO_8859_1)
                .replace("c0nfiguration.json", "configuration.json").getBytes(StandardCharsets.ISO_8859_1));
    }),
    ENCRYPTED((sound, at) -> listed(sound, at, 8, 1)),
    PACKED_STRANGELY((sound, at) -> listed(sound, at, 10, 99)),
    MANY_ENTRIES((sound, at) -> {
        ByteBuffer end = ByteBuffer.allocate(22).order(ByteOrder.LITTLE_ENDIAN).putInt(0x06054b50).putLong(0).putInt(20 << 20);
        Files.write(at, new byte[20 << 20]);
        Files.write(at, end.array(), StandardOpenOption.APPEND);
    }),
    SERIALISED_NORMALIZER((sound, at) -> change(sound, at, entries -> entries.put("normalizer.bin", serialised()))),
    CUSTOM_NORMALIZER((sound, at) -> {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeUTF("NORMALIZER");
        out.writeInt(1);
        out.writeUTF("CUSTOM");
        out.writeUTF("java.lang.Thread");
        change(sound, at, entries -> entries.put("normalizer.bin", bytes.toByteArray()));
    });

    /** Makes it. */
    @FunctionalInterface
    private interface Making {
        void of(Path sound, Path at) throws Exception;
    }

    /** Changes what is in a file. */
    @FunctionalInterface
    private interface Change {
        void of(Map<String, byte[]> entries) throws IOException;
    }

    private final Making making;

    HostileNetwork(Making making) {
        this.making = making;
    }

    /** Whether the system has such files. */
    boolean isPossible() {
        return Files.exists(Path.of("/dev/zero")) || !Set.of(LOOP, ENDLESS, PIPE).contains(this);
    }

    /** Whether it is made of a zip file's entries. */
    boolean isZip() {
        return compareTo(ONLY_CONFIGURATION) >= 0;
    }

    /** Puts it where nothing is. */
    void make(Path sound, Path at) throws Exception {
        making.of(sound, at);
    }

    private static void change(Path sound, Path at, Change change) throws IOException {
        Map<String, byte[]> entries = Zips.read(sound);
        change.of(entries);
        Zips.write(at, entries);
    }

    private static void configured(Path sound, Path at, String json) throws IOException {
        change(sound, at, entries -> entries.put(ModelSerializer.CONFIGURATION_JSON, json.getBytes(StandardCharsets.UTF_8)));
    }

    private static String text(Map<String, byte[]> entries) {
        return new String(entries.get(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
    }

    /** Sets a field of 16 bits of all entries in the list of them. */
    private static void listed(Path sound, Path at, int field, int value) throws IOException {
        byte[] zip = Files.readAllBytes(sound);
        ByteBuffer bytes = ByteBuffer.wrap(zip).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < zip.length - 46; i++) {
            if (bytes.getInt(i) == 0x02014b50) {
                bytes.putShort(i + field, (short) (bytes.getShort(i + field) | value));
            }
        }
        Files.write(at, zip);
    }

    /** Sets in sets, which take Java two to the power of a hundred steps to deserialise. */
    static byte[] serialised() throws IOException {
        Set<Object> root = new HashSet<>();
        Set<Object> left = root;
        Set<Object> right = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            Set<Object> nextLeft = new HashSet<>(Set.of("differs"));
            Set<Object> nextRight = new HashSet<>();
            left.addAll(Arrays.asList(nextLeft, nextRight));
            right.addAll(Arrays.asList(nextLeft, nextRight));
            left = nextLeft;
            right = nextRight;
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new ObjectOutputStream(bytes).writeObject(root);
        return bytes.toByteArray();
    }
}
