package io.github.dl4jlora.pages;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A command in a shell block of a page.
 *
 * @param block where it is
 * @param words the program and its arguments, without quotes
 */
public record ShellCommand(CodeBlock block, List<String> words) {

    /** Before the id of what Maven runs. */
    public static final String EXEC = "exec:exec@";
    /** Before the arguments of what Maven runs. */
    public static final String ARGS = "-Dargs=";
    /** Before the command line's arguments where its jar is not the only one. */
    private static final String MAIN = "io.github.dl4jlora.cli.Main";

    /** A word of quoted and plain parts, what lies between commands, or a comment. */
    private static final Pattern TOKEN = Pattern.compile(
            "(?<end>&&|\\|\\|?|;|\n)|#[^\n]*|(?<word>(?:'[^']*'|\"[^\"]*\"|\\$\\([^)]*\\)|[^\\s'\";|&])+)");
    private static final Pattern QUOTED = Pattern.compile("'([^']*)'|\"([^\"]*)\"");

    /** Of all pages. */
    public static List<ShellCommand> all() throws IOException {
        List<ShellCommand> commands = new ArrayList<>();
        for (CodeBlock block : CodeBlock.all()) {
            if (block.language().equals(CodeBlock.SHELL)) {
                add(block, commands);
            }
        }
        return commands;
    }

    private static void add(CodeBlock block, List<ShellCommand> commands) {
        List<String> words = new ArrayList<>();
        Matcher token = TOKEN.matcher(block.code().replace("\\\n", ""));
        while (token.find()) {
            if (token.group("word") != null) {
                words.add(QUOTED.matcher(token.group("word")).replaceAll(quoted -> Matcher.quoteReplacement(
                        quoted.group(1) == null ? quoted.group(2) : quoted.group(1))));
            } else if (token.group("end") != null && !words.isEmpty()) {
                commands.add(new ShellCommand(block, List.copyOf(words)));
                words.clear();
            }
        }
    }

    /** The first word. */
    public String program() {
        return words.get(0);
    }

    /** What the pages hand to the program that {@code exec:exec@id} runs: {@code -Dargs="…"} in words. */
    public static List<List<String>> argumentsOf(String id) throws IOException {
        return all().stream().filter(command -> command.program().equals("mvn") && command.words.contains(EXEC + id))
                .map(command -> command.words.stream().filter(word -> word.startsWith(ARGS))
                        .flatMap(word -> List.of(word.substring(ARGS.length()).split("\\s+")).stream()).toList()).toList();
    }

    /** What the pages hand to the command line: after {@code dl4j-lora}, its jar, or its class. */
    public static List<List<String>> argumentsOfCommandLine() throws IOException {
        return all().stream().map(ShellCommand::afterCommandLine).filter(arguments -> !arguments.isEmpty()).toList();
    }

    private List<String> afterCommandLine() {
        int last = program().equals("dl4j-lora") ? 0 : !program().equals("java") ? -1
                : Math.max(words.indexOf("-jar") + 1, words.indexOf(MAIN));
        return last < 0 ? List.of() : words.subList(last + 1, words.size());
    }

    @Override
    public String toString() {
        return block + ": " + String.join(" ", words);
    }
}
