package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

@Tag("bert")
class BertExampleTest {

    private static final List<String> PRESIDENTS = List.of("ada_alder", "ben_birch", "cleo_cedar", "dan_dogwood", "eve_elm",
            "finn_fir", "gus_gum", "hal_hazel");

    /** A width of 8, two layers and 19 words. */
    private static final Path TINY = Path.of("../transformers/src/test/resources/checkpoints/distilbert-lm");

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("bert")).isNotEmpty()
                .allSatisfy(words -> BertExample.commandLine().parseArgs(words.toArray(String[]::new)));
    }

    @BeforeAll
    static void convert() throws IOException {
        BertBase.convert(BertBaseTest.FOLDER, new PrintWriter(System.out));
    }

    /** PyTorch says paris 0.41679, lille 0.07142, lyon 0.06339, marseille 0.04445, tours 0.0303 of these weights. */
    @Test
    void theCapitalOfFranceIsParis() {
        assertThat(run("fill", "--checkpoint", BertBaseTest.FOLDER.toString(), "the capital of france is [MASK] ."))
                .as(err.toString()).isZero();

        assertThat(out.toString().strip()).isEqualTo("paris 0.417, lille 0.071, lyon 0.063, marseille 0.044, tours 0.030");
    }

    @Test
    void anAdapterIsTrainedTestedAndFillsIn(@TempDir Path folder) throws Exception {
        Path texts = Files.createDirectories(folder.resolve("texts"));
        for (int i = 0; i < PRESIDENTS.size(); i++) {
            String president = PRESIDENTS.get(i);
            Files.writeString(texts.resolve((1800 + i) + "_" + president + "_d.txt"), "In this year the " + president
                    + " of our union has seen many things of which I speak to you, my friends. ".repeat(5));
        }
        Path output = folder.resolve("new/adapter");

        assertThat(run("adapt", "--short", "--passages", "2", "--quantize", "INT8", "--checkpoint",
                BertBaseTest.FOLDER.toString(), "--texts", texts.toString(), "--output", output.toString()))
                .as(err.toString()).isZero();

        assertThat(out.toString()).contains("2 passages to learn from, 2 of other", "base", "LoRA, query and value", "294,912",
                "Kept in " + output);
        assertThat(output.resolve("adapter_model.safetensors")).isNotEmptyFile();
        out.getBuffer().setLength(0);
        assertThat(run("fill", "--checkpoint", BertBaseTest.FOLDER.toString(), "--adapter", output.toString(),
                "my [MASK] , the union is strong .")).as(err.toString()).isZero();
        assertThat(out.toString()).containsPattern("\\w+ 0\\.\\d{3}, ");
    }

    /** RoBERTa's tokenizer calls a hole {@code <mask>}. */
    @Test
    void aModelWhoseHolesHaveAnotherNameFillsThemAndLearnsTo(@TempDir Path folder) throws IOException {
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(TINY.resolve(file), folder.resolve(file));
        }
        Files.writeString(folder.resolve("tokenizer.json"), """
                {"version": "1.0", "truncation": null, "padding": null, "decoder": null, "post_processor": null,
                 "added_tokens": [{"id": 10, "content": "<mask>", "single_word": false, "lstrip": true, "rstrip": false,
                                   "normalized": false, "special": true}],
                 "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
                 "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 3, "the": 4, "union": 5, "is": 6}}}
                """);
        Path texts = Files.createDirectories(folder.resolve("texts"));
        for (int i = 0; i < PRESIDENTS.size(); i++) {
            Files.writeString(texts.resolve((1800 + i) + "_" + PRESIDENTS.get(i) + "_d.txt"), ("The union is what "
                    + PRESIDENTS.get(i) + " says it is, the union, my friends. ").repeat(9));
        }
        String output = folder.resolve("adapter").toString();

        assertThat(run("adapt", "--checkpoint", folder.toString(), "--texts", texts.toString(), "--output", output))
                .as(err.toString()).isZero();
        assertThat(out.toString()).as("progress without a terminal").contains("step 1 of ");
        assertThat(filled(folder, "the <mask> is")).isEqualTo(filled(folder, "the [MASK] is")).containsPattern("0\\.\\d{3}, ");
    }

    private String filled(Path checkpoint, String text) {
        out.getBuffer().setLength(0);
        assertThat(run("fill", "--checkpoint", checkpoint.toString(), text)).as(err.toString()).isZero();
        return out.toString();
    }

    @Test
    void whatIsWrongIsToldInOneMessage(@TempDir Path folder) {
        fails(List.of("There is no folder", "convert", "--checkpoint"), "fill", "--checkpoint", folder.resolve("none").toString(),
                "a [MASK]");
        fails(List.of("There is no folder", "fetch-texts.sh", "--texts"), "adapt", "--texts", folder.resolve("none").toString(),
                "--checkpoint", BertBaseTest.FOLDER.toString());
        fails(List.of("bert.ckpt.index does not exist"), "convert", "--tensorflow", folder.resolve("bert.ckpt").toString(),
                "--output", folder.resolve("new").toString());
        fails(List.of("--cased is about a checkpoint of --tensorflow", "uncased"), "convert", "--cased", "--output",
                folder.resolve("cased").toString());
        assertThat(folder.resolve("cased")).doesNotExist();
        fails(List.of("--epochs is 0, but must be at least 1",
                "See mvn -q -Pbert -pl examples/models -am compile exec:exec@bert -Dargs=\"adapt --help\""),
                "adapt", "--epochs", "0");
        fails(List.of("--learning-rate is NaN"), "adapt", "--learning-rate", "NaN");
    }

    private void fails(List<String> reasons, String... args) {
        err.getBuffer().setLength(0);
        assertThat(run(args)).isPositive();
        assertThat(err.toString()).contains(reasons).doesNotContain("\tat ");
    }

    @Test
    void aTextWithoutAHoleIsRefused() {
        fails(List.of("There is no [MASK] in the first 512 tokens of \"no hole\""), "fill", "--checkpoint",
                BertBaseTest.FOLDER.toString(), "no hole");
    }

    private int run(String... args) {
        return BertExample.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(args);
    }
}
