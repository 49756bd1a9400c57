package io.github.dl4jlora.serve;

import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.openai.OpenAiEmbeddingModel;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.AdapterSource;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.cli.Main;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.JavaBlocks;
import io.github.dl4jlora.pages.ShellCommand;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.shade.jackson.databind.JsonNode;
import picocli.CommandLine.Help.Ansi;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** What docs/guide/service.md says to type is typed, at a service of this test's own. */
@Tag("serve")
@Timeout(value = 15, unit = TimeUnit.MINUTES)
class ServiceGuideTest {

    private static final Path PAGE = Path.of("..", "..", "docs", "guide", "service.md");

    /** As the digits example leaves it: where commands are typed, and the service's adapters. */
    @TempDir
    private static Path clone;
    private static Running running;
    private static String page;

    @BeforeAll
    static void start() throws IOException {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(20).build())
                .layer(new OutputLayer.Builder().name("out").nOut(10).build()).build());
        base.init();
        Path walk = clone.resolve("examples").resolve("target").resolve("walk");
        Networks.adapter(base, 1).save(walk.resolve("adapter"));
        Networks.adapter(base, 1).save(walk.resolve("adapters").resolve("turned"));
        running = new Running(base, walk.resolve("adapters"));
        page = Files.readString(PAGE);
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    private static String run(String program, String... arguments) throws IOException, InterruptedException {
        Path out = Files.createTempFile(clone, "out", "");
        ProcessBuilder builder = new ProcessBuilder(Stream.concat(Stream.of(program), Arrays.stream(arguments)).toList())
                .directory(clone.toFile()).redirectErrorStream(true).redirectOutput(out.toFile());
        builder.environment().put(TokenOptions.VARIABLE, Running.TOKEN);
        int exitCode = builder.start().waitFor();
        assertThat(exitCode).as(Files.readString(out)).isZero();
        return Files.readString(out);
    }

    private static boolean has(String program, String... arguments) {
        try {
            return new ProcessBuilder(Stream.concat(Stream.of(program), Arrays.stream(arguments)).toList())
                    .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor() == 0;
        } catch (IOException e) {
            return false;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What stands between fences of a language. */
    private static String sample(String language) {
        return samples(language).get(0).replace("http://127.0.0.1:8080/", running.address().toString());
    }

    private static List<String> samples(String language) {
        return CodeBlock.of("docs/guide/service.md", language).stream().map(CodeBlock::code).toList();
    }

    /** Indented lines, continued ones joined. */
    private static List<String> commands() {
        return page.replaceAll("(?s)```.*?```", "").replace("\\\n", "").lines().filter(line -> line.startsWith("    "))
                .map(String::strip).toList();
    }

    @Test
    void theHelpIsShownAsItIs() {
        assertThat(page).contains("```text\n" + Main.commandLine().getSubcommands().get("serve").getUsageMessage(Ansi.OFF)
                .replace("\r\n", "\n") + "```");
    }

    @Test
    void theDefaultsThatTheHelpTellsAreTheBanks() {
        BankConfig defaults = BankConfig.builder().build();

        assertThat(page).contains("Default: " + defaults.maxBatch() + ".", "Default: " + defaults.maxDelay().toMillis() + "ms.",
                "Default: " + defaults.maxQueued() + ".", "Default: " + (defaults.maxBytes() >> 20) + "m.");
    }

    @Test
    void thePageTellsHowLongIdleConnectionsStay() {
        assertThat(page).contains("An idle connection stays open for " + Connections.IDLE.toSeconds() + " s");
    }

    @Test
    void theServicesOptionsAreAccepted() throws IOException {
        List<List<String>> lines = ShellCommand.argumentsOfCommandLine().stream().filter(words -> words.get(0).equals("serve"))
                .toList();

        assertThat(lines).hasSize(5).allSatisfy(words -> assertThat(Main.commandLine().parseArgs(words.toArray(String[]::new))
                .subcommand().hasMatchedOption("--adapters")).isTrue());
    }

    @Test
    void curlGetsAnswers() throws Exception {
        assumeTrue(has("curl", "--version") && has("sh", "-c", "seq 2"), "needs curl and seq");
        List<String> typed = commands().stream().filter(line -> line.startsWith("curl ") || line.startsWith("printf "))
                .filter(line -> !line.contains(":8081/")).toList();
        assertThat(typed).hasSizeGreaterThan(6);
        for (String line : typed) {
            String said = run("sh", "-c", line.replace("http://127.0.0.1:8080/", running.address().toString())
                    .replace("curl ", "curl -sS --fail-with-body "));
            if (line.contains("/outputs")) {
                assertThat(Running.JSON.readTree(said).at("/outputs/0")).as(said).hasSize(10);
            } else if (line.startsWith("curl ")) {
                assertThat(said).as(line).contains("\"id\":\"again\"");
            }
        }
        assertThat(running.get("/v1/models/again").status()).isEqualTo(404);
    }

    @Test
    void theExampleOfAnAnswerIsOne() throws IOException {
        JsonNode answer = Running.JSON.readTree(samples("json").get(0));

        assertThat(answer.get("adapter").asText()).isEqualTo("turned");
        assertThat(answer.at("/outputs/0")).hasSize(10);
    }

    @Test
    void pythonsLinesRun() throws Exception {
        assumeTrue(has("python3", "-c", "import numpy"), "needs Python with NumPy");

        assertThat(run("python3", "-c", sample("python"))).matches("\\[\\d \\d]\\s+");
    }

    @Test
    void javaScriptsLinesRun() throws Exception {
        assumeTrue(has("node", "-e", "fetch"), "needs Node 18 or later");

        assertThat(run("node", "-e", sample("js"))).isEqualTo("[ 1, 10 ]\n");
    }

    @Test
    void javasLinesAreHereAndCompileAsThePagePrintsThem() throws IOException {
        String here = CodeBlock.normal(Files.readString(Path.of("src", "test", "java", "io", "github", "dl4jlora", "serve",
                "ServiceGuideTest.java"), StandardCharsets.UTF_8));

        assertThat(CodeBlock.of("docs/guide/service.md", CodeBlock.JAVA)).hasSize(2)
                .flatExtracting(CodeBlock::statements).allSatisfy(line -> assertThat(here).contains(line));
        assertThat(JavaBlocks.mistakes(Map.of("docs/guide/service.md", ServicePageNames.class))).isEmpty();
    }

    /** EmbeddingsTest tests the clients that these lines make. */
    @Test
    void javasLinesMakeModels(@TempDir Path adapters) throws IOException {
        AdapterBank bank = new AdapterBank(PretrainedEncoder.MINILM.sentenceEncoder(),
                BankConfig.builder().source(AdapterSource.folder(adapters)).build());
        Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(256);
        EmbeddingModel spam = new LoRAEmbeddingModel(bank, tokenizer, AdapterMix.of("spam"));
        EmbeddingModel tone = new LoRAEmbeddingModel(bank, tokenizer, AdapterMix.of("tone"));
        try (bank; tokenizer) {
            assertThat(List.of(spam.modelName(), tone.modelName())).doesNotHaveDuplicates();
        }
        assertThat(client().modelName()).isEqualTo("spam");
    }

    private static EmbeddingModel client() {
        EmbeddingModel model = OpenAiEmbeddingModel.builder().baseUrl("http://127.0.0.1:8081/v1").apiKey("any")
                .modelName("spam").build();
        return model;
    }
}
