package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.pages.ShellCommand;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

@Tag("minilm")
class RetrievalExampleTest {

    private static final List<String> WAYS = List.of("Did you see the %s yesterday?", "The %s will be repaired tomorrow.",
            "I have never liked this %s.", "Please hand me the %s.", "There are seven of them, a %s each.",
            "How much does a %s cost?", "The %s was stolen from our house!", "Nobody knows who made the %s.");
    private static final List<String> LEARNED = List.of("violin", "kettle", "ladder", "bicycle", "carpet", "candle", "hammer",
            "mirror", "basket", "trumpet", "blanket", "wheel", "bottle", "needle", "shovel", "wallet");
    private static final List<String> TESTED = List.of("telescope", "saddle", "umbrella", "piano", "lantern", "scarf");

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    /**
     * From a sentence to those that say the same of something else, where the base looks for what it is about. Of each thing half
     * of what may be said are queries, and the other half documents, so that no query finds itself.
     */
    private static List<Sample> sayings(List<String> things) {
        List<Sample> samples = new ArrayList<>();
        for (int thing = 0; thing < things.size(); thing++) {
            for (int way = thing % 2; way < WAYS.size(); way += 2) {
                samples.add(new Sample(String.format(WAYS.get(way), things.get(thing)),
                        String.format(WAYS.get(way), things.get((thing + 1) % things.size())), WAYS.get(way)));
            }
        }
        return samples;
    }

    @Test
    void aShortTrainingTeachesWhatTheBaseDoesNotFind(@TempDir Path folder) throws Exception {
        Samples samples = new Samples(sayings(LEARNED), sayings(TESTED));
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(16)) {
            CommandLine line = silent();
            Checks checks = new Checks(line);
            Outcome outcome = new Trials(new Training(PretrainedEncoder.MINILM, tokenizer, line),
                    new Trials.Settings(3, 16, 2e-3, 7, 1), line.getOut(), checks).of(Task.UNION, Method.LORA, samples,
                    folder.resolve("union"));
            ModelSerializer.writeModel(PretrainedEncoder.MINILM.sentenceEncoder(), folder.resolve("base.zip").toFile(), false);
            try (Served served = new Served(PretrainedEncoder.MINILM, folder.resolve("base.zip"), folder, List.of(Task.UNION),
                    tokenizer, new StatusLine(line.getErr()))) {
                Ranking base = served.rank(Task.UNION, samples.test(), AdapterBank.BASE);
                Ranking adapted = served.rank(Task.UNION, samples.test(), Task.UNION.toString());

                assertThat(adapted.recallAt(1)).isGreaterThan(base.recallAt(1) + 0.2);
                assertThat(adapted.mrr()).isGreaterThan(base.mrr());
                assertThat(adapted.ndcg()).isGreaterThan(base.ndcg());
                assertThat(outcome.mean(Ranking::ndcg)).isCloseTo(adapted.ndcg(), within(1e-6));
            }
            assertThat(checks.exitCode()).as(out.toString()).isZero();
        }
    }

    @Test
    void everyTaskTrainsIsTestedWithEveryAdapterAndKept(@TempDir Path folder) throws Exception {
        Path output = folder.resolve("new/output");

        assertThat(run("--short", "--pairs", "8", "--texts", TextFolder.fill(folder.resolve("texts")).toString(), "--output",
                output.toString())).as(err.toString()).isZero();

        assertThat(err.toString()).isEmpty();
        assertThat(out.toString()).doesNotContain("FAILED", "seeds").contains("recall", "MRR of each task with each adapter:",
                "ok      words: with the adapter off", "kinds, what a thing is a kind of: the adapter", "73,728",
                "Look at it: " + output.resolve("report.html").toUri());
        assertThat(ModelSerializer.restoreComputationGraph(output.resolve("base.zip").toFile()).params())
                .isEqualTo(PretrainedEncoder.MINILM.sentenceEncoder().params());
        for (Task task : Task.values()) {
            assertThat(output.resolve("adapters").resolve(task.toString()).resolve("adapter_model.safetensors")).isNotEmptyFile();
        }
        assertThat(output.resolve("report.html")).content().contains("words, LoRA", "all-MiniLM-L6-v2");
    }

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("retrieval")).isNotEmpty()
                .allSatisfy(words -> RetrievalExample.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void eachMethodHasTheBestOfItsRatesAndSeveralSeeds(@TempDir Path folder) throws Exception {
        Path output = folder.resolve("output");

        assertThat(run("--tuned", "--seeds", "2", "--only", "kinds", "--short", "--pairs", "8", "--texts",
                TextFolder.fill(folder.resolve("texts")).toString(), "--output", output.toString())).as(err.toString()).isZero();

        assertThat(out.toString()).doesNotContain("FAILED")
                .containsPattern("kinds, LoRA: nDCG@10 of 1 pairs held out, by learning rate: 3e-04: .*; chosen: .e-0.")
                .containsPattern("kinds, full fine-tuning: nDCG@10 of 1 pairs held out, by learning rate: 1e-05: .*; chosen: .e-")
                .contains("lowest", "highest", "seeds", "22,565,376");
    }

    @Test
    void whatIsWrongIsToldInOneMessage(@TempDir Path folder) throws Exception {
        assertThat(run("--texts", folder.resolve("none").toString())).isEqualTo(CommandLine.ExitCode.SOFTWARE);
        assertThat(err.toString()).startsWith("retrieval: There is no ").contains("none", "fetch-texts.sh", "--texts")
                .doesNotContain("\tat ");
        refused("--pairs is 0, but must be at least 1", "--pairs", "0");
        refused("--epochs is -1, but must be at least 1", "--epochs", "-1");
        refused("--learning-rate is NaN, but must be a finite number above 0", "--learning-rate", "NaN");
        refused("'poems'", "--only", "poems");
        refused("'gpt'", "--encoder", "gpt");
        refused("--seeds is 0, but must be at least 1", "--seeds", "0");
        refused("--learning-rate and --tuned: give one of them", "--tuned", "--learning-rate", "1e-3");
        Path file = Files.writeString(folder.resolve("file"), "");
        refused("--output " + file + " exists, but is not a folder", "--output", file.toString());
    }

    private void refused(String message, String... args) {
        err.getBuffer().setLength(0);
        assertThat(run(args)).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains(message,
                "See mvn -q -Pminilm -pl examples/models -am compile exec:exec@retrieval -Dargs=\"--help\"")
                .doesNotContain("\tat ");
    }

    private CommandLine silent() {
        return RetrievalExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
    }

    private int run(String... args) {
        return silent().execute(args);
    }
}
