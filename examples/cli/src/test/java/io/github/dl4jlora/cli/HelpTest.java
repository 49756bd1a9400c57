package io.github.dl4jlora.cli;

import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import picocli.CommandLine.Help.Ansi;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

class HelpTest {

    private static final Path PAGE = Path.of("../../docs/guide/cli.md");
    private static final Pattern WORD = Pattern.compile("'([^']*)'|(\\S+)");

    static Stream<String> commands() {
        return Main.commandLine().getSubcommands().keySet().stream().filter(name -> !name.equals("help"));
    }

    private static CommandLine command(String name) {
        return Main.commandLine().getSubcommands().get(name);
    }

    @ParameterizedTest
    @MethodSource("commands")
    void everyExampleInTheHelpIsAccepted(String name) {
        List<String> examples = Arrays.stream(command(name).getCommandSpec().usageMessage().footer()).toList();

        assertThat(examples).isNotEmpty().allSatisfy(HelpTest::accepted);
    }

    @ParameterizedTest
    @MethodSource("commands")
    void theGuideShowsTheHelpAsItIs(String name) throws IOException {
        assertThat(Files.readString(PAGE)).contains("```text\n" + help(name) + "```");
    }

    @ParameterizedTest
    @MethodSource("commands")
    void theHelpFitsATerminalAndSaysEverything(String name) {
        assertThat(help(name).lines()).allSatisfy(line -> assertThat(line.length()).isLessThanOrEqualTo(80));
        assertThat(help(name)).contains("Usage: dl4j-lora " + name, "Options:", "--json", "Examples:");
        assertThat(help(name).contains("Files:")).isEqualTo(!command(name).getCommandSpec().positionalParameters().isEmpty());
    }

    @Test
    void theCommandsFitATerminalToo() {
        assertThat(Main.commandLine().getUsageMessage(Ansi.OFF).lines())
                .allSatisfy(line -> assertThat(line.length()).isLessThanOrEqualTo(80))
                .anyMatch(line -> line.startsWith("  dl4j-lora apply base.zip --rank 8 -o tuned.zip"));
    }

    @Test
    void theGuideNamesEveryCommandInItsTable() throws IOException {
        assertThat(Files.readString(PAGE)).contains(commands().map(name -> "| [`" + name + "`](#" + name + ") |").toList());
    }

    /** "serve" is another module's, and the service's page is looked at there. */
    @Test
    void everyCommandOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOfCommandLine()).filteredOn(words -> !words.get(0).equals("serve"))
                .hasSizeGreaterThan(10).allSatisfy(words ->
                        assertThat(Main.commandLine().parseArgs(words.toArray(String[]::new)).hasSubcommand()).isTrue());
    }

    static String help(String name) {
        return command(name).getUsageMessage(Ansi.OFF).replace("\r\n", "\n");
    }

    private static void accepted(String line) {
        Matcher words = WORD.matcher(line.replaceFirst("\\s+#.*", ""));
        List<String> arguments = words.results().map(word -> word.group(1) != null ? word.group(1) : word.group(2))
                .skip(1).toList();
        assertThat(line.strip()).startsWith("dl4j-lora ");
        assertThat(Main.commandLine().parseArgs(arguments.toArray(String[]::new)).hasSubcommand()).isTrue();
    }
}
