package io.github.dl4jlora.integration;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The main class of a JVM that writes, as part of a release, what {@link OldFilesTest} holds from then on. In the library's
 * folder:
 *
 * <pre>
 * mvn -q -ntp test-compile exec:exec -Dexec.skip=false -Dexec.classpathScope=test \
 *   "-Dexec.args=-classpath %classpath io.github.dl4jlora.integration.OldFilesWriter 0.2.0"
 * </pre>
 *
 * On one machine it writes the same each time, but for files inside files.
 */
final class OldFilesWriter {

    private static final int LOCAL = 0x04034b50;
    private static final int CENTRAL = 0x02014b50;
    private static final int END = 0x06054b50;
    private static final int END_LENGTH = 22;
    /** The first of January 1980: zip knows nothing earlier. */
    private static final int MIDNIGHT = 1 << 21 | 1 << 16;
    private static final Pattern SAVE_ID = Pattern.compile("\\+dl4jlora\\.([-0-9a-f]{36})");

    private OldFilesWriter() {
    }

    /** @param arguments the release, 0.2.0 for example */
    public static void main(String[] arguments) throws IOException {
        Path release = OldFolder.of(arguments[0]);
        for (Map.Entry<String, OldKind> kind : OldKinds.all().entrySet()) {
            OldFolder folder = new OldFolder(Files.createDirectories(release.resolve(kind.getKey())));
            kind.getValue().write(folder, kind.getKey().hashCode());
            try (Stream<Path> files = Files.walk(folder.path())) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    Files.write(file, steady(file, kind.getKey()));
                }
            }
            System.out.println(folder);
        }
    }

    /** A file without what differs from run to run: times, and the name of a save. */
    private static byte[] steady(Path file, String kind) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        if (bytes.length > END_LENGTH && buffer.getInt(0) == LOCAL) {
            int end = bytes.length - END_LENGTH;
            if (buffer.getInt(end) != END) {
                throw new IOException(file + " has no list of entries at its end");
            }
            int at = buffer.getInt(end + 16);
            while (buffer.getInt(at) == CENTRAL) {
                buffer.putInt(at + 12, MIDNIGHT);
                buffer.putInt(buffer.getInt(at + 42) + 10, MIDNIGHT);
                at += 46 + buffer.getShort(at + 28) + buffer.getShort(at + 30) + buffer.getShort(at + 32);
            }
        }
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        String same = UUID.nameUUIDFromBytes(kind.getBytes(StandardCharsets.UTF_8)).toString();
        for (String id : SAVE_ID.matcher(text).results().map(found -> found.group(1)).toList()) {
            text = text.replace(id, same);
        }
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }
}
