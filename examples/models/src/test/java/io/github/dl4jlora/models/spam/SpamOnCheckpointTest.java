package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** On checkpoints with a width of 8, two layers and 19 words. */
@Tag("minilm")
class SpamOnCheckpointTest {

    private static final Path CHECKPOINTS = Path.of("../transformers/src/test/resources/checkpoints");
    private static final int WIDTH = 8;
    private static final int OUTPUT_LAYER = WIDTH * Batches.CLASSES + Batches.CLASSES;
    private static final String TOKENIZER = """
            {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null, "post_processor": null,
             "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
             "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 3, "the": 4, "compiler": 5, "patch": 6,
                       "free": 7, "cash": 8, "click": 9}}}
            """;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @TempDir
    Path folder;

    private Path checkpoint(String name) throws IOException {
        Path copy = Files.createDirectories(folder.resolve(name));
        try (Stream<Path> files = Files.list(CHECKPOINTS.resolve(name))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, copy.resolve(file.getFileName()));
            }
        }
        Files.writeString(copy.resolve("tokenizer.json"), TOKENIZER);
        return copy;
    }

    private Outcome train(String checkpoint, Method method, String... more) throws Exception {
        Path output = folder.resolve("output");
        List<String> arguments = List.of("train", "--short", "--only", method.name(), "--checkpoint",
                checkpoint(checkpoint).toString(), "--mails", SpamExampleTest.mails(folder.resolve("mails")).toString(),
                "--output", output.toString());

        assertThat(run(Stream.concat(arguments.stream(), Stream.of(more)).toArray(String[]::new))).as(err.toString()).isZero();

        assertThat(out.toString()).contains(method.title, "Kept in " + output);
        assertThat(output.resolve("report.html").toFile().isFile()).isEqualTo(method.isLoRA());
        return Outcome.read(method.in(output, ".properties"));
    }

    @ParameterizedTest
    @CsvSource({"distilbert-lm, HEAD_ONLY", "distilbert-lm, LORA_LINEAR", "distilbert-lm, FULL", "roberta-classifier, HEAD_ONLY",
            "roberta-classifier, LORA_LINEAR", "roberta-classifier, FULL"})
    void everyMethodTrainsAFamilysOwnHeadAndWhatTheMethodIsFor(String checkpoint, Method method) throws Exception {
        long trained = train(checkpoint, method).trained();

        long head = WIDTH * WIDTH + WIDTH + OUTPUT_LAYER;
        switch (method) {
            case HEAD_ONLY -> assertThat(trained).isEqualTo(head);
            // Four square layers, one that widens to 12 and one that narrows, in each of two blocks, at rank 8.
            case LORA_LINEAR -> assertThat(trained).isEqualTo(head + 2L * 8 * (4 * (WIDTH + WIDTH) + 2 * (WIDTH + 12)));
            default -> assertThat(trained).isGreaterThan(head);
        }
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void anAdapterOnFewerBitsIsKeptWithItsHeadAndClassifies(Quantization scheme) throws Exception {
        train("roberta-classifier", Method.LORA_QUERY_VALUE, "--quantize", scheme.name(), "--batch", "3");

        String adapter = folder.resolve("output/lora_query_value").toString();
        assertThat(LoRAAdapter.load(Path.of(adapter)).config().trainable()).extracting(Pattern::toString)
                .containsExactly(Pattern.quote("classifier.dense"), Pattern.quote("classifier.out_proj"));
        String[] on = {"classify", "--checkpoint", folder.resolve("roberta-classifier").toString(), "--adapter", adapter,
                "--quantize", scheme.name()};
        out.getBuffer().setLength(0);
        assertThat(run(Stream.concat(Stream.of(on), Stream.of("Free", "cash")).toArray(String[]::new))).as(err.toString())
                .isZero();
        String adapted = out.toString();
        out.getBuffer().setLength(0);
        assertThat(run(Stream.concat(Stream.of(on), Stream.of("--merged", "Free cash")).toArray(String[]::new))).isZero();
        assertThat(adapted).matches("(?s)(spam|ham) \\(probability of spam [01]\\.\\d{4}\\)\\s+").isEqualTo(out.toString());
    }

    @Test
    void shorterTextsEndWithTheModelsOwnPaddingAndNoTextIsLongerThanItReads() throws Exception {
        Path roberta = checkpoint("roberta-classifier");
        try (Tokenizer tokenizer = Tokenizer.of(roberta, Checkpoint.open(roberta), 128)) {
            assertThat(tokenizer.batch(List.of("the patch", "click the free cash"))).isEqualTo(Nd4j.createFromArray(new float[][]
                    {{4, 6, 1, 1}, {9, 4, 7, 8}}));
            assertThat(tokenizer.ids("free ".repeat(20))).hasSize(8);
        }
    }

    @Test
    void whatIsLearnedOnACheckpointIsKeptUnderItsName() {
        BaseOption option = new BaseOption();
        CommandSpec spec = CommandSpec.create().addMixin("base", CommandSpec.forAnnotatedObject(option));
        new CommandLine(spec).parseArgs("--checkpoint", "some/bert-base");

        assertThat(option.output()).isEqualTo(Path.of("examples/target/spam-bert-base"));
        assertThat(option.arguments()).containsExactly("--checkpoint", Path.of("some/bert-base").toAbsolutePath().toString());
        assertThat(new BaseOption().output()).isEqualTo(Path.of("examples/target/spam"));
    }

    @Test
    void anotherProcessReadsAsMuchOfTheSameMails() {
        DataOptions options = new DataOptions();
        CommandSpec spec = CommandSpec.create().addMixin("data", CommandSpec.forAnnotatedObject(options));
        new CommandLine(spec).parseArgs("--mails", "some", "--short", "--tokens", "5");

        assertThat(options.tokens()).isEqualTo(5);
        assertThat(options.arguments()).containsExactly("--mails", Path.of("some").toAbsolutePath().toString(), "--short",
                "--tokens", "5");
        assertThat(new DataOptions().tokens()).isEqualTo(128);
    }

    @Test
    void whatIsWrongIsToldInOneMessage() throws Exception {
        fails("There is no folder", "--checkpoint", folder.resolve("none").toString());
        fails("GPT2", "--checkpoint", checkpoint("gpt2-lm").toString());
        Path without = checkpoint("distilbert-lm");
        Files.delete(without.resolve("tokenizer.json"));
        fails(without + " has no tokenizer.json", "--checkpoint", without.toString());
        fails("--batch is 0, but must be at least 1", "--batch", "0");
        fails("--tokens is 2, but must be at least 3", "--tokens", "2");
        fails("--learning-rate is NaN, but must be a finite number above 0", "--learning-rate", "NaN");
    }

    private void fails(String reason, String... args) throws Exception {
        err.getBuffer().setLength(0);
        String mails = SpamExampleTest.mails(folder.resolve("mails")).toString();
        assertThat(run(Stream.concat(Stream.of("train", "--short", "--only", "HEAD_ONLY", "--mails", mails, "--output",
                folder.resolve("new").toString()), Stream.of(args)).toArray(String[]::new))).isPositive();
        assertThat(err.toString()).contains(reason).doesNotContain("\tat ");
    }

    private int run(String... args) {
        return SpamExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(args);
    }
}
