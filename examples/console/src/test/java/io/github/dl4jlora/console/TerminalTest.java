package io.github.dl4jlora.console;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;

import static org.assertj.core.api.Assertions.assertThat;

/** What is shown where somebody looks at it. */
class TerminalTest {

    private static final String LONG = "one long step that takes ever so long, and says what it is about: folder/file.zip";

    @TempDir
    private Path folder;

    /** Tells what it is connected with. */
    static final class Connected {

        public static void main(String[] arguments) throws IOException {
            Files.writeString(Path.of(arguments[0]), Terminal.OUTPUT.isThere() + " " + Terminal.OUTPUT.columns() + " "
                    + Terminal.ERRORS.isThere() + " " + Terminal.ERRORS.columns());
        }
    }

    /** One step that takes as long as it is looked at so many times, in a window that is made narrower meanwhile. */
    static final class OneStep {

        public static void main(String[] arguments) throws Exception {
            CountDownLatch wide = new CountDownLatch(8);
            CountDownLatch all = new CountDownLatch(30);
            // The width is asked for every few drawings.
            CountDownLatch narrow = new CountDownLatch(8);
            AtomicBoolean isNarrow = new AtomicBoolean();
            StatusLine line = new StatusLine(new PrintWriter(System.err));
            line.show(() -> {
                wide.countDown();
                all.countDown();
                if (isNarrow.get()) {
                    narrow.countDown();
                }
                return all.getCount() + " " + LONG;
            });
            wide.await();
            new ProcessBuilder("sh", "-c", "stty cols 40 <&2").redirectError(ProcessBuilder.Redirect.INHERIT).start().waitFor();
            isNarrow.set(true);
            narrow.await();
            all.await();
            line.clear();
            System.out.println("the result");
        }
    }

    @BeforeEach
    void aTerminal() {
        PseudoTerminal.require();
    }

    @Test
    void eachStreamIsAskedForItself() throws Exception {
        String java = PseudoTerminal.java(Connected.class, "told");

        assertThat(told(java)).isEqualTo("true 93 true 93");
        assertThat(told(java + " > out")).isEqualTo("false 80 true 93");
        assertThat(told(java + " | cat")).isEqualTo("false 80 true 93");
        assertThat(told(java + " 2> err")).isEqualTo("true 93 false 80");
        assertThat(told(java + " > out 2>&1 < /dev/null")).isEqualTo("false 80 false 80");
    }

    private String told(String line) throws Exception {
        assertThat(PseudoTerminal.run(93, folder, "unset COLUMNS; " + line, 2).exitCode()).isZero();
        return Files.readString(folder.resolve("told"));
    }

    @Test
    void aLineMovesWhileOneStepLastsAndFitsEvenWhereTheWindowShrinks() throws Exception {
        PseudoTerminal.Ended ended = PseudoTerminal.run(70, folder, PseudoTerminal.java(OneStep.class, "> out"), 2);

        assertThat(ended.exitCode()).as(ended.shown()).isZero();
        assertThat(ended.states()).hasSizeGreaterThan(20).allSatisfy(state -> assertThat(state.length()).isLessThan(70))
                .allSatisfy(state -> assertThat(state).endsWith("file.zip")).anySatisfy(state -> assertThat(state).hasSize(69));
        assertThat(ended.states().get(ended.states().size() - 1)).hasSize(39);
        assertThat(ended.shown()).endsWith("\r").doesNotContain("\n");
        assertThat(folder.resolve("out")).hasContent("the result");
    }

    @Test
    void nothingIsShownWhereNobodyLooks() throws Exception {
        Process process = new ProcessBuilder("sh", "-c", PseudoTerminal.java(Connected.class, "told") + " > out 2> err")
                .directory(folder.toFile()).start();

        assertThat(process.waitFor()).isZero();
        assertThat(folder.resolve("told")).hasContent("false 80 false 80");
        StringWriter shown = new StringWriter();
        StatusLine line = new StatusLine(new PrintWriter(shown), false, () -> 80);
        line.show(() -> "a state");
        line.clear();
        assertThat(shown.toString()).isEmpty();
    }

    @Test
    void aWidthInTheEnvironmentCountsWhereTheTerminalKnowsNone() {
        assertThat(Terminal.fromEnvironment("132")).isEqualTo(132);
        assertThat(Terminal.fromEnvironment(null)).isEqualTo(80);
        assertThat(Terminal.fromEnvironment("wide")).isEqualTo(80);
        assertThat(Terminal.fromEnvironment("0")).isEqualTo(80);
    }

    /** Prints. */
    @Command(name = "printer")
    static final class Printer implements Runnable {

        @CommandLine.Spec
        private CommandLine.Model.CommandSpec spec;

        @Override
        public void run() {
            spec.commandLine().getOut().println("a line");
        }
    }

    private static StandardOutput thatRefuses(String reason) {
        return new StandardOutput(new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException(reason);
            }
        });
    }

    /** In the words of Linux and Windows. */
    @ParameterizedTest
    @ValueSource(strings = {"Broken pipe", "The pipe is being closed"})
    void aReaderThatHasSeenEnoughIsNoFault(String reason) {
        StringWriter errors = new StringWriter();
        StandardOutput closed = thatRefuses(reason);
        CommandLine line = new CommandLine(new Printer()).setOut(closed.writer()).setErr(new PrintWriter(errors, true));

        assertThat(Program.run(line, closed)).isEqualTo(CommandLine.ExitCode.SOFTWARE);
        assertThat(errors.toString()).isEmpty();
    }

    @Test
    void whatIsPrintedAndLostIsAFailure() {
        StringWriter errors = new StringWriter();
        StandardOutput full = thatRefuses("No space left on device");
        CommandLine line = new CommandLine(new Printer()).setOut(full.writer()).setErr(new PrintWriter(errors, true));

        assertThat(Program.run(line, full)).isEqualTo(CommandLine.ExitCode.SOFTWARE);

        assertThat(errors.toString().strip()).isEqualTo("printer: the output could not be written: No space left on device");
        StandardOutput taken = new StandardOutput(OutputStream.nullOutputStream());
        assertThat(Program.run(new CommandLine(new Printer()).setOut(taken.writer()), taken)).isZero();
    }
}
