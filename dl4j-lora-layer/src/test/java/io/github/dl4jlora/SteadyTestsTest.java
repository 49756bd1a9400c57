package io.github.dl4jlora;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Tests draw the same numbers in every run: a failure tells of a change, and not of luck. */
class SteadyTestsTest {

    private static final String BUILDER = "new NeuralNetConfiguration\\s*\\.Builder\\(\\)";
    /** The builder itself, and not what the statement makes besides. */
    private static final String TOLD_A_SEED = "(?:(?!\\.list\\(|\\.graphBuilder\\()[^;])*\\.seed\\(";
    private static final String FINE_TUNING = "new FineTuneConfiguration\\s*\\.Builder\\(\\)";
    /**
     * What draws others each time, and what to write instead. The seed of a network is the clock unless it is told one; DL4J
     * gives a graph that is fine-tuned a new one.
     */
    private static final Map<Pattern, String> LUCK = Map.of(
            Pattern.compile("new Random\\(\\)|Math\\.random\\(|ThreadLocalRandom\\.current|new SecureRandom\\("), "new Random(1)",
            Pattern.compile("Collections\\.shuffle\\(\\w+\\)"), "Collections.shuffle(list, new Random(1))",
            Pattern.compile("(?:[Ss]eed|[Rr]andom)\\w*\\([^;]*System\\.(?:nanoTime|currentTimeMillis)"), "a number",
            Pattern.compile("@Property(?!\\([^)]*seed = )"), "@Property(seed = \"24\")",
            Pattern.compile(BUILDER + "(?!" + TOLD_A_SEED + ")"), "new NeuralNetConfiguration.Builder().seed(1)",
            Pattern.compile(FINE_TUNING + "(?!" + TOLD_A_SEED + ")"), "new FineTuneConfiguration.Builder().seed(1)");
    /** ND4J's own generator starts from the clock too. */
    private static final Pattern OF_ND4J = Pattern.compile(
            "Nd4j\\.(?:(?:randn?|shuffle)\\((?![^;]*getNewRandomInstance)|getRandom\\(\\)\\.next)");
    /** A network's builder seeds ND4J's generator as well. */
    private static final Pattern SEEDED = Pattern.compile("setSeed\\(|" + BUILDER + TOLD_A_SEED);
    private static final Pattern MEMBERS = Pattern.compile("(?m)^    }$");
    private static final Pattern BEFORE = Pattern.compile("@Before(?:Each|Property|Try)\\b");

    private static List<Path> tests() throws IOException {
        List<Path> tests = new ArrayList<>();
        Files.walkFileTree(Path.of(".."), new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
                // Files come and go there while a build runs.
                return folder.endsWith("target") || folder.endsWith(".git") ? FileVisitResult.SKIP_SUBTREE
                        : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                if (file.toString().matches(".*/src/(\\w+/)?test(ing)?/.*\\.java") && !file.endsWith("SteadyTestsTest.java")) {
                    tests.add(file);
                }
                return FileVisitResult.CONTINUE;
            }
        });
        return tests;
    }

    private static Stream<String> found(String text) {
        return Stream.concat(luck(text), ofNd4j(text));
    }

    private static Stream<String> luck(String text) {
        return LUCK.entrySet().stream().flatMap(entry -> entry.getKey().matcher(text).results()
                .map(match -> match.group().lines().findFirst().orElse("") + ": write " + entry.getValue()));
    }

    /** Draws that no seed is before: in the same member, or before each test. */
    private static Stream<String> ofNd4j(String text) {
        List<String> members = MEMBERS.splitAsStream(text).toList();
        if (members.stream().anyMatch(member -> BEFORE.matcher(member).find() && member.contains("setSeed("))) {
            return Stream.empty();
        }
        return members.stream().flatMap(member -> OF_ND4J.matcher(SEEDED.split(member, 2)[0]).results())
                .map(match -> match.group() + ": write Nd4j.getRandom().setSeed(1) before it");
    }

    @Test
    void noTestDependsOnWhenItRuns() throws IOException {
        List<Path> tests = tests();

        assertThat(tests).hasSizeGreaterThan(300);
        assertThat(tests.stream().flatMap(test -> found(read(test)).map(what -> test + ": " + what))).isEmpty();
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
        "Nd4j.rand(3, 4)", "Nd4j.randn(type, 3)", "Collections.shuffle(all)",
        "new FineTuneConfiguration.Builder().updater(new Sgd(0.1)).build()", "Nd4j.getRandom().nextDouble()",
        "Nd4j.rand(3); Nd4j.getRandom().setSeed(1);",
        "new NeuralNetConfiguration.Builder().updater(new Sgd(0.1)).list().layer(layer).build()",
        "new NeuralNetConfiguration.Builder().graphBuilder(), LoRAConfig.builder().seed(1)",
        "    void seeds() {\n        Nd4j.getRandom().setSeed(1);\n    }\n    void draws() {\n        Nd4j.rand(3);\n    }\n"})
    void luckIsFound(String code) {
        assertThat(found(code)).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"new Random(7)", "long start = System.nanoTime();", "@Property(tries = 5, seed = \"24\") void x()",
        "Nd4j.getRandom().setSeed(1); Nd4j.rand(3, 4)", "Collections.shuffle(all, new Random(3))",
        "new FineTuneConfiguration.Builder().seed(3).build()",
        "Nd4j.randn(shape, Nd4j.getRandomFactory().getNewRandomInstance(1))",
        "new NeuralNetConfiguration.Builder()\n.dataType(type)\n.seed(3).list()",
        "    @BeforeEach\n    void seeds() {\n        Nd4j.getRandom().setSeed(1);\n    }\n    void draws() {\n"
            + "        Nd4j.rand(3);\n    }\n"})
    void whatIsTheSameEachTimeIsNot(String code) {
        assertThat(found(code)).isEmpty();
    }
}
