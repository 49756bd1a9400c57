package io.github.dl4jlora.cli;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** What reads strangers' files has none of DL4J's readers that believe them, and nothing that deserialises Java objects. */
class NoDeserialisationTest {

    private static final Pattern TRUSTING = Pattern.compile("ModelSerializer\\s*\\.\\s*restore|ModelGuesser|restoreNormalizerFrom"
            + "|NormalizerSerializer\\W.*\\brestore|\\bObjectInputStream|\\.readObject\\(|Nd4j\\s*\\.\\s*(read|readBinary)\\(");
    private static final List<Path> STRANGERS = Stream.of("../../dl4j-lora-layer/src/main/java",
            "src/main/java", "../report/src/main/java", "../onnx/src/main/java", "../serve/src/main/java").map(Path::of).toList();

    @Test
    void strangersFilesAreReadByTheLibrarysReadersAlone() throws IOException {
        List<String> found = new ArrayList<>();
        int files = 0;
        for (Path root : STRANGERS) {
            try (Stream<Path> sources = Files.walk(root)) {
                for (Path source : sources.filter(file -> file.toString().endsWith(".java")).toList()) {
                    files++;
                    for (String line : Files.readAllLines(source)) {
                        boolean comment = line.strip().startsWith("*") || line.strip().startsWith("//");
                        if (!comment && TRUSTING.matcher(line).find()) {
                            found.add(source + ": " + line.strip());
                        }
                    }
                }
            }
        }

        assertThat(files).isGreaterThan(200);
        assertThat(found).isEmpty();
        assertThat(TRUSTING.matcher("ModelSerializer.restoreComputationGraph(file)").find()).isTrue();
    }
}
