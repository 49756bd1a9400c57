package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.internal.untrusted.SteadyFiles;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/** Two files that belong together, as an adapter's: each says of which save it is. */
final class Pairs {

    static final String FIRST = "adapter_model.safetensors";
    static final String SECOND = "adapter_config.json";

    private Pairs() {
    }

    static Map<String, AtomicFile.Content> of(int save) {
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        files.put(FIRST, out -> out.write(String.valueOf(save).getBytes(StandardCharsets.UTF_8)));
        files.put(SECOND, out -> out.write(String.valueOf(save).getBytes(StandardCharsets.UTF_8)));
        return files;
    }

    /** Which saves the two files are of, "-" for none, as a program sees them that knows nothing of this library. */
    static List<String> in(Path folder) throws IOException {
        return List.of(text(folder.resolve(FIRST)), text(folder.resolve(SECOND)));
    }

    private static String text(Path file) throws IOException {
        return Files.exists(file) ? Files.readString(file) : "-";
    }

    /** As this library reads them, while others save. */
    static List<String> read(Path folder) throws IOException {
        return SteadyFiles.read(folder, () -> {
            Optional<AtomicFile.Interrupted> left = Files.exists(folder.resolve(SECOND)) ? Optional.empty()
                    : AtomicFile.interrupted(folder, FIRST, SECOND);
            return left.isEmpty() ? List.of(folder.resolve(FIRST), folder.resolve(SECOND))
                    : List.of(folder.resolve(FIRST), folder.resolve(SECOND), left.get().file(), left.get().first());
        }, files -> {
            Path second = files.opened().stream().filter(file -> file.toString().contains(SECOND)).findFirst()
                    .orElse(folder.resolve(SECOND));
            return List.of(new String(files.bytes(folder.resolve(FIRST), 100), StandardCharsets.UTF_8),
                    new String(files.bytes(second, 100), StandardCharsets.UTF_8));
        });
    }

    static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }
}
