package io.github.dl4jlora.serve;

import io.github.dl4jlora.cli.Main;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerMinMaxScaler;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;

/** The command as it is typed: what is wrong takes a line, exit code 2 for options and 1 for the rest. */
@Tag("serve")
class ServeCommandTest {

    @TempDir
    private Path folder;
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @BeforeEach
    void files() throws IOException {
        ModelSerializer.writeModel(Networks.dense(1), folder.resolve("base.zip").toFile(), false);
        ModelSerializer.writeModel(Networks.adapted(Networks.dense(1), 1), folder.resolve("tuned.zip").toFile(), false);
        Files.createDirectory(folder.resolve("adapters"));
        Files.writeString(folder.resolve("short"), "secret\n");
    }

    /** A word that starts with @ names a file in the folder. */
    private int run(String line) {
        String[] words = Arrays.stream(line.split(" ")).map(word -> word.startsWith("@")
                ? folder.resolve(word.substring(1)).toString() : word).toArray(String[]::new);
        return Main.commandLine().setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true)).execute(words);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            serve                                                              | Missing required
            serve --base @base.zip                                             | '--adapters=FOLDER'
            serve --adapters @adapters                                         | --base=NETWORK
            serve --base @base.zip --encoder --adapters @adapters              | mutually exclusive
            serve --base @base.zip --adapters @adapters --port many            | 'many' is not a whole number
            serve --base @base.zip --adapters @adapters --port 65536           | --port is 65536
            serve --base @base.zip --adapters @adapters --max-body 8x          | '8x' is not a number of bytes, such as 8m
            serve --base @base.zip --adapters @adapters --max-upload 0         | '0' is not a number of bytes
            serve --base @base.zip --adapters @adapters --max-body 17179869185g | '17179869185g' is more than 1048576g bytes
            serve --base @base.zip --adapters @adapters --timeout 999999h      | '999999h' is more than a year, 8760h
            serve --base @base.zip --adapters @adapters --max-delay 2          | '2' is not a time, such as 2ms
            serve --base @base.zip --adapters @adapters --timeout 0s           | --timeout is 0
            serve --base @base.zip --adapters @adapters --read-timeout 0s      | --read-timeout is 0
            serve --base @base.zip --adapters @adapters --verify-every 0ms     | --verify-every is 0
            serve --base @base.zip --adapters @adapters --min-rate 0           | '0' is not a number of bytes
            serve --base @base.zip --adapters @adapters --max-connections 0    | --max-connections is 0
            serve --base @base.zip --adapters @adapters --max-body 900g        | reading such a request takes
            serve --base @base.zip --adapters @adapters --max-delay 30s        | --max-delay is 30000ms, but --timeout is 30000ms
            serve --base @base.zip --adapters @adapters --max-delay 900ms --timeout 800ms | is 900ms, but --timeout is 800ms
            serve --base @base.zip --adapters @adapters --max-batch 0          | --max-batch is 0, but must be at least 1
            serve --base @base.zip --adapters @adapters --networks 0           | --networks is 0
            serve --base @base.zip --adapters @adapters --max-queued -1        | --max-queued is -1
            serve --encoder @adapters --adapters @adapters --max-queued 63     | --max-queued is 63, but must be at least 64
            serve --reranker @adapters --adapters @adapters --max-queued 63    | --max-queued is 63, but must be at least 64
            serve --base @base.zip --adapters @adapters --max-tokens 1         | --max-tokens is 1, but must be at least 2
            serve --base @base.zip --adapters @adapters --max-tokens 9         | --max-tokens is for --encoder and --reranker
            serve --base @base.zip --adapters @adapters --token short          | --token is shorter than 8
            serve --base @base.zip --adapters @adapters --token-file @short    | shorter than 8 characters
            serve --base @base.zip --adapters @adapters --token a-token-for-me --token-file @short | Leave one out
            serve --base @base.zip --adapters @adapters --allow-host *.example.com | --allow-host is "*.example.com", which no
            serve --base @base.zip --adapters @adapters --allow-host https://example.com | names are compared as a whole
            serve --base @base.zip --adapters @adapters --allow-host example.com/v1 | such as models.example.com
            serve --base @base.zip --adapters @adapters --allow-host a.example.com,b.example.com | or * for any
            serve --base @base.zip --adapters @adapters --allow-host münchen.de | "münchen.de", which no request has
            serve --base @base.zip --adapters @adapters --more                 | Unknown option: '--more'
            """)
    void wrongOptionsTakeALine(String line, String reason) {
        assertThat(run(line)).isEqualTo(2);
        assertThat(err.toString()).contains(reason, "See dl4j-lora serve --help").hasLineCount(2);
        assertThat(out.toString()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            serve --base @nowhere.zip --adapters @adapters    | nowhere.zip does not exist
            serve --base @base.zip --adapters @nowhere        | nowhere does not exist. Create the folder
            serve --base @base.zip --adapters @base.zip       | is a file, but a folder of adapters is needed
            serve --base @tuned.zip --adapters @adapters      | an adapted network
            serve --base @adapters --adapters @adapters       | is a folder, but a saved network
            serve --base @base.zip --adapters @adapters --token-file @nowhere | nowhere does not exist
            serve --encoder minilmm --adapters @adapters      | minilmm is none of [minilm, bge, e5] and no folder
            serve --encoder @adapters --adapters @adapters    | config.json
            serve --encoder --adapters @adapters --max-tokens 513 | after 513 tokens, but all-MiniLM-L6-v2 reads at most 512
            serve --reranker @adapters --adapters @adapters   | config.json
            serve --encoder @adapters --adapters @adapters --max-queued 64 | config.json
            serve --base @nowhere.zip --adapters @adapters --max-queued 1 | nowhere.zip does not exist
            serve --base @base.zip --adapters @adapters --host no.such.host.invalid | no.such.host.invalid
            """)
    void whatCannotBeServedIsSaid(String line, String reason) {
        assertThat(run(line)).isEqualTo(1);
        assertThat(err.toString()).contains("dl4j-lora serve: ", reason).hasLineCount(1);
    }

    @Test
    void clientsMustNormalizeWhereTheBaseHasANormalizer() throws IOException {
        assertThat(ServedModel.network(folder.resolve("base.zip")).remark()).isNull();
        NormalizerMinMaxScaler normalizer = new NormalizerMinMaxScaler(0, 1);
        normalizer.setFeatureStats(Nd4j.zeros(1, Networks.IN), Nd4j.ones(1, Networks.IN));
        ModelSerializer.addNormalizerToModel(folder.resolve("base.zip").toFile(), normalizer);

        assertThat(ServedModel.network(folder.resolve("base.zip")).remark())
                .contains("does not apply the normalizer", "base.zip");
    }

    @Test
    void theHelpNamesEveryOptionAndTheCommandIsOneOfTheOthers() {
        assertThat(run("serve --help")).isZero();
        assertThat(out.toString()).startsWith("Serves a network and many adapters over HTTP.").contains("Usage: dl4j-lora serve");
        assertThat(run("--help")).isZero();
        assertThat(out.toString()).containsSubsequence("inspect", "doctor", "serve");
    }
}
