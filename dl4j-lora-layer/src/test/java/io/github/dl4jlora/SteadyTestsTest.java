package io.github.dl4jlora;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Tests draw the same numbers in every run: a failure tells of a change, and not of luck. */
class SteadyTestsTest {

    /** What draws others each time, and what to write instead. */
    private static final Map<Pattern, String> LUCK = Map.of(
            Pattern.compile("new Random\\(\\)|Math\\.random\\(|ThreadLocalRandom\\.current|new SecureRandom\\("), "new Random(1)",
            Pattern.compile("(?:[Ss]eed|[Rr]andom)\\w*\\([^;]*System\\.(?:nanoTime|currentTimeMillis)"), "a number",
            Pattern.compile("@Property(?!\\([^)]*seed = )"), "@Property(seed = \"24\")");
    /** ND4J's own generator starts from the clock: this module's tests seed it. */
    private static final Pattern OF_ND4J = Pattern.compile("Nd4j\\.randn?\\(");
    private static final List<String> SEEDED = List.of("setSeed(", "getNewRandomInstance(");

    private static List<Path> tests() throws IOException {
        try (Stream<Path> files = Files.walk(Path.of(".."))) {
            return files.filter(file -> file.toString().matches(".*/src/test(ing)?/java/.*\\.java"))
                    .filter(file -> !file.endsWith("SteadyTestsTest.java")).toList();
        }
    }

    private static Stream<String> found(Path file) {
        String text = read(file);
        return Stream.concat(luck(text), file.startsWith("../dl4j-lora-layer") ? ofNd4j(text) : Stream.empty());
    }

    private static Stream<String> found(String text) {
        return Stream.concat(luck(text), ofNd4j(text));
    }

    private static Stream<String> luck(String text) {
        return LUCK.entrySet().stream().flatMap(entry -> entry.getKey().matcher(text).results()
                .map(match -> match.group().lines().findFirst().orElse("") + ": write " + entry.getValue()));
    }

    private static Stream<String> ofNd4j(String text) {
        return SEEDED.stream().anyMatch(text::contains) ? Stream.empty() : OF_ND4J.matcher(text).results()
                .map(match -> match.group() + ": write Networks.random(type, seed, shape)");
    }

    @Test
    void noTestDependsOnWhenItRuns() throws IOException {
        List<Path> tests = tests();

        assertThat(tests).hasSizeGreaterThan(300);
        assertThat(tests.stream().flatMap(test -> found(test).map(what -> test + ": " + what))).isEmpty();
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"new Random()", "Math.random()", "Networks.random(DataType.FLOAT, System.nanoTime(), 3)",
        "new Random(System.currentTimeMillis())", "@Property void holds()", "@Property(tries = 5) void holds()",
        "Nd4j.rand(3, 4)", "Nd4j.randn(type, 3)"})
    void luckIsFound(String code) {
        assertThat(found(code)).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"new Random(7)", "long start = System.nanoTime();", "@Property(tries = 5, seed = \"24\") void x()",
        "Nd4j.getRandom().setSeed(1); Nd4j.rand(3, 4)"})
    void whatIsTheSameEachTimeIsNot(String code) {
        assertThat(found(code)).isEmpty();
    }
}
