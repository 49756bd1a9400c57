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

/** POMs, pages and adapter files have one version; .ci/version changes it. */
class VersionTest {

    private static final Path TOP = Path.of("..");
    /** Where a POM names its parent. */
    private static final Pattern PARENT = Pattern.compile("<artifactId>dl4j-lora</artifactId>\\s*<version>([^<]+)</version>");
    /** Where a page says what to put into a build. */
    private static final Pattern NAMED = Pattern.compile(
            "<artifactId>dl4j-lora-[a-z]+</artifactId>\\s*<version>([^<]+)</version>"
                    + "|io\\.github\\.dl4jlora:[a-z0-9-]+:([\\w.-]+)");

    @Test
    void everyPomHasTheVersionOfTheFirst() throws IOException {
        List<Path> poms = files("pom.xml");

        assertThat(poms).hasSizeGreaterThan(5).allSatisfy(pom -> assertThat(Files.readString(pom)).containsPattern(
                "<artifactId>dl4j-lora</artifactId>\\s*<version>\\Q" + version() + "\\E</version>"));
    }

    @Test
    void pagesTellUsersToAskForThisVersion() throws IOException {
        int named = 0;
        for (Path page : files(".md")) {
            Matcher found = NAMED.matcher(Files.readString(page));
            while (found.find()) {
                named++;
                assertThat(found.group(1) == null ? found.group(2) : found.group(1)).as(page.toString()).isEqualTo(version());
            }
        }

        assertThat(named).isGreaterThan(3);
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

    private static List<Path> files(String ending) throws IOException {
        try (Stream<Path> all = Files.walk(TOP)) {
            return all.filter(path -> path.toString().endsWith(ending) && !path.toString().contains("target")).toList();
        }
    }
}
