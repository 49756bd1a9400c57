package io.github.dl4jlora;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** The guide's page on refusals quotes messages that the library has, the exporter to ONNX, or the transformers. */
class ErrorsGuideTest {

    private static final Pattern FIRST_CELL = Pattern.compile("^\\| (`.*?) \\|");
    private static final Pattern QUOTED = Pattern.compile("`([^`]+)`");
    private static final Pattern JOINED = Pattern.compile("\"\\s*\\+\\s*\"");

    @Test
    void everyMessageOfThePageIsOneOfTheLibrarys() throws IOException {
        String messages = literals();
        int quoted = 0;
        for (String row : Files.readAllLines(Path.of("../docs/guide/errors.md"))) {
            Matcher cell = FIRST_CELL.matcher(row);
            if (!cell.find()) {
                continue;
            }
            Matcher message = QUOTED.matcher(cell.group(1));
            while (message.find()) {
                quoted++;
                for (String part : List.of(message.group(1).split("…"))) {
                    assertThat(messages.contains(part)).as("\"%s\" of the message \"%s\"", part, message.group(1)).isTrue();
                }
            }
        }
        assertThat(quoted).isGreaterThan(20);
    }

    /** The sources, in which a message that goes over several lines is one. */
    private static String literals() throws IOException {
        StringBuilder sources = new StringBuilder();
        for (String folder : List.of("src/main/java", "../examples/onnx/src/main/java",
                "../examples/transformers/src/main/java")) {
            try (Stream<Path> files = Files.walk(Path.of(folder))) {
                sources.append(files.filter(file -> file.toString().endsWith(".java")).map(ErrorsGuideTest::read)
                        .collect(Collectors.joining("\n")));
            }
        }
        return JOINED.matcher(sources).replaceAll("").replace("\\\"", "\"");
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
