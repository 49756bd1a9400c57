package io.github.dl4jlora;

import io.github.dl4jlora.internal.peft.PluginVersion;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** POMs, changelog and library have one version, which .ci/version changes; BuildBlocksTest has that of the pages. */
class VersionTest {

    private static final Path TOP = Path.of("..");
    /** Where a POM names its parent. */
    private static final Pattern PARENT = Pattern.compile("<artifactId>dl4j-lora</artifactId>\\s*<version>([^<]+)</version>");

    @Test
    void everyPomHasTheVersionOfTheFirst() throws IOException {
        List<Path> poms;
        try (Stream<Path> found = Files.find(TOP, 3, (path, attributes) -> path.endsWith("pom.xml"))) {
            poms = found.toList();
        }

        assertThat(poms).hasSizeGreaterThan(5).allSatisfy(pom -> assertThat(Files.readString(pom)).containsPattern(
                "<artifactId>dl4j-lora</artifactId>\\s*<version>\\Q" + version() + "\\E</version>"));
    }

    @Test
    void theChangelogBeginsWithThisVersionAndItsDate() throws IOException {
        String first = Files.readAllLines(TOP.resolve("CHANGELOG.md")).stream().filter(line -> line.startsWith("## ")).findFirst()
                .orElseThrow();

        assertThat(first).matches(version().endsWith("-SNAPSHOT")
                ? "## " + Pattern.quote(version().replace("-SNAPSHOT", "")) + " \\(unreleased\\)"
                : "## " + Pattern.quote(version()) + " - \\d{4}-\\d{2}-\\d{2}");
    }

    @Test
    void theLibraryKnowsItsVersion() throws IOException {
        assertThat(PluginVersion.get()).isEqualTo(version());
    }

    private static String version() throws IOException {
        Matcher parent = PARENT.matcher(Files.readString(Path.of("pom.xml")));
        assertThat(parent.find()).isTrue();
        return parent.group(1);
    }
}
