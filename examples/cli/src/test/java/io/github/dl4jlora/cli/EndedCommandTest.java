package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.console.PseudoTerminal;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

/** Whoever ends a command finds what was there before; whoever looks at it sees it move. */
@Tag("heavy")
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "Windows has no SIGINT and SIGTERM to send")
class EndedCommandTest {

    private static final int SIGINT_BIT = 1 << 1;
    private static final int WIDTH = 1500;

    @TempDir
    private static Path inputs;
    @TempDir
    private Path folder;
    private Path outputs;
    private Path temporary;

    @BeforeAll
    static void networksThatTakeAWhileToWrite() throws IOException {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(WIDTH).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder().name("out").nOut(10).build()).build());
        base.init();
        Path file = inputs.resolve("base.zip");
        ModelSerializer.writeModel(base, file.toFile(), false);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(WIDTH / 2).build());
        LoRAAdapter.of(tuned).save(inputs.resolve("adapter"));
        LoRA.save(tuned, inputs.resolve("tuned.zip"), false);
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(new DataSet(Nd4j.rand(20, WIDTH), Nd4j.rand(20, 10)));
        Path normalized = Files.copy(file, inputs.resolve("normalized.zip"));
        ModelSerializer.addNormalizerToModel(normalized.toFile(), normalizer);
    }

    @BeforeEach
    void folders() throws IOException {
        outputs = Files.createDirectory(folder.resolve("outputs"));
        temporary = Files.createDirectory(folder.resolve("tmp"));
    }

    @ParameterizedTest(name = "{2} {0}")
    @CsvSource({
            "merge base.zip adapter -o OUT, 0, INT, 130",
            "merge base.zip adapter -o OUT, 150, TERM, 143",
            "merge normalized.zip adapter -o OUT, 60, INT, 130",
            "apply base.zip adapter -o OUT, 90, INT, 130",
            "apply normalized.zip --rank 4 -o OUT, 200, TERM, 143",
            "quantize --as nf4 base.zip -o OUT, 0, INT, 130",
            "quantize --as int8 --mapped base.zip -o OUT, 0, TERM, 143",
            "import adapter base.zip -o OUT, 120, INT, 130",
            "export tuned.zip -o OUT, 5, INT, 130",
            "combine adapter=0.5 -o OUT, 0, TERM, 143"})
    void leavesWhatWasThereAndNothingElse(String line, int millis, String signal, int exitCode) throws Exception {
        assumeFalse(signal.equals("INT") && ignoresInterrupts(), "whoever started these tests has them ignore SIGINT");
        boolean folderIsMade = line.startsWith("export") || line.startsWith("combine");
        Path target = outputs.resolve("result");
        int ended = 0;
        // The signal may come when all is done, or when the result is in its place and something is still to be said.
        for (int delay = millis, attempt = 0; (ended == 0 || isWhole(target)) && attempt < 10; delay /= 2, attempt++) {
            clear(outputs);
            if (!folderIsMade) {
                Files.writeString(target, "old");
            }
            ended = run(line, target, delay, signal);
        }

        assertThat(ended).as(Files.readString(folder.resolve("log"))).isEqualTo(exitCode);
        // JNA keeps an empty folder of its own there, as every program that uses it does.
        try (Stream<Path> left = Files.walk(temporary)) {
            assertThat(left.filter(Files::isRegularFile)).isEmpty();
        }
        if (folderIsMade) {
            assertThat(outputs).isEmptyDirectory();
        } else {
            assertThat(target).hasContent("old");
            assertThat(outputs).isDirectoryNotContaining(path -> !path.equals(target));
        }
    }

    private static boolean isWhole(Path result) {
        try {
            if (AdapterFolder.is(result)) {
                AdapterFolder.read(result);
            } else {
                SavedNetwork.read(result);
            }
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static void clear(Path folder) throws IOException {
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.filter(path -> !path.equals(folder)).sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    /** As shells have what they put into the background do. */
    private static boolean ignoresInterrupts() throws IOException {
        Path status = Path.of("/proc/self/status");
        if (!Files.exists(status)) {
            return false;
        }
        try (Stream<String> lines = Files.lines(status)) {
            return lines.filter(text -> text.startsWith("SigIgn:"))
                    .anyMatch(text -> (Long.parseUnsignedLong(text.substring(7).strip(), 16) & SIGINT_BIT) != 0);
        }
    }

    /** {@return the exit code of a command that got a signal so long after it had begun to write} */
    private int run(String line, Path target, int millis, String signal) throws Exception {
        Process process = new ProcessBuilder("sh", "-c", "exec " + PseudoTerminal.java(Main.class, line.replace("OUT",
                PseudoTerminal.quoted(target.toString())) + " --force").replaceFirst("'-Xmx512m'", "-Xmx1g "
                + "-Djava.io.tmpdir=" + PseudoTerminal.quoted(temporary.toString())))
                .directory(inputs.toFile()).redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile()).start();
        try {
            while (!isBeingWritten() && process.isAlive()) {
                Thread.sleep(1);
            }
            Thread.sleep(millis);
            new ProcessBuilder("sh", "-c", "kill -" + signal + " " + process.pid()).start().waitFor();
            assertThat(process.waitFor(10, TimeUnit.MINUTES)).isTrue();
        } finally {
            process.destroyForcibly();
        }
        return process.exitValue();
    }

    /** Found by its end, in the folder of the target. */
    private boolean isBeingWritten() throws IOException {
        try (Stream<Path> files = Files.list(outputs)) {
            return files.anyMatch(file -> file.toString().endsWith(".tmp"));
        }
    }

    @Test
    void itsProgressMovesOnTheTerminalWhileTheResultGoesToAFile() throws Exception {
        PseudoTerminal.require();

        PseudoTerminal.Ended ended = PseudoTerminal.run(60, inputs, PseudoTerminal.java(Main.class,
                "merge base.zip adapter -o " + PseudoTerminal.quoted(outputs.resolve("result").toString())) + " > "
                + PseudoTerminal.quoted(folder.resolve("out").toString()), 3);

        assertThat(ended.exitCode()).as(ended.shown()).isZero();
        assertThat(ended.states()).filteredOn(state -> state.startsWith("["))
                .allSatisfy(state -> assertThat(state.length()).isLessThan(60))
                .anySatisfy(state -> assertThat(state).contains("0 of 3"));
        assertThat(ended.states()).as("while it is written").anySatisfy(state -> assertThat(state).contains("2 of 3"));
        assertThat(ended.shown()).as("a warning has a line of its own").contains("\rdl4j-lora: warning: An adapter was applied");
        assertThat(folder.resolve("out")).content().contains("a stock MultiLayerNetwork").doesNotContain("\r");
    }

    @Test
    void interruptedAtTheKeyboardItLeavesTheLineEmpty() throws Exception {
        PseudoTerminal.require();
        String line = PseudoTerminal.java(Main.class, "merge base.zip adapter --force -o "
                + PseudoTerminal.quoted(outputs.resolve("result").toString())) + " & child=$!; "
                + "while ! ls -A " + PseudoTerminal.quoted(outputs.toString()) + " | grep -q tmp && kill -0 $child; "
                + "do sleep 0.01; done; kill -TERM $child; wait $child; echo \"exit $?\"";

        PseudoTerminal.Ended ended = PseudoTerminal.run(80, inputs, line, 3);
        // The signal may come when the result is in its place, or when all is done.
        for (int attempt = 1; Files.exists(outputs.resolve("result")) && attempt < 20; attempt++) {
            clear(outputs);
            ended = PseudoTerminal.run(80, inputs, line, 3);
        }

        assertThat(ended.shown()).containsPattern("\r +\r(?s:.*)exit 143");
        assertThat(outputs).isEmptyDirectory();
    }

    @Test
    void aFullDiskUnderTheOutputIsAFailure() throws Exception {
        PseudoTerminal.require();

        for (String line : new String[] {"inspect base.zip", "inspect adapter --json", "--help", "help merge", "--version"}) {
            PseudoTerminal.Ended ended = PseudoTerminal.run(80, inputs, PseudoTerminal.java(Main.class, line) + " > /dev/full",
                    3);

            assertThat(ended.exitCode()).as(line).isEqualTo(1);
            assertThat(ended.shown()).as(line).contains("the output could not be written: No space left on device");
        }
    }
}
