package io.github.dl4jlora.pages;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A block of code on a page: what lies between fences, or is indented by four blanks and more.
 *
 * @param page     from the top of the project, with slashes
 * @param line     of its first line of code, from 1
 * @param language as its fence names it; {@value #SHELL} of indented blocks, empty of fences without a language
 * @param code     its lines, without what all of them are indented by
 */
public record CodeBlock(String page, int line, String language, String code) {

    /** Commands to type. */
    public static final String SHELL = "sh";
    public static final String JAVA = "java";
    /** The folder of the project, whichever module's tests run. */
    public static final Path TOP = top();

    private static final Pattern FENCE = Pattern.compile("( *)```(\\w*)");
    private static final String INDENT = "    ";

    private static Path top() {
        Path folder = Path.of("").toAbsolutePath();
        while (!Files.exists(folder.resolve("docs").resolve("guide"))) {
            folder = folder.getParent();
        }
        return folder;
    }

    /** Of all pages that users and contributors read; the pages about the design draw instead. */
    public static List<CodeBlock> all() throws IOException {
        try (Stream<Path> top = Files.list(TOP); Stream<Path> docs = Files.walk(TOP.resolve("docs"))) {
            return Stream.concat(top, docs).map(page -> TOP.relativize(page).toString().replace('\\', '/'))
                    .filter(page -> page.endsWith(".md") && !page.startsWith("docs/design")).sorted()
                    .flatMap(page -> of(page).stream()).toList();
        }
    }

    /** Of one page, in their order. */
    public static List<CodeBlock> of(String page) {
        List<String> lines = lines(page);
        List<CodeBlock> blocks = new ArrayList<>();
        int next = 0;
        while (next < lines.size()) {
            Matcher fence = FENCE.matcher(lines.get(next));
            int first = fence.matches() ? next + 1 : next;
            int end = first;
            if (fence.matches()) {
                while (!lines.get(end).equals(fence.group(1) + "```")) {
                    end++;
                }
                blocks.add(of(page, first, fence.group(2), lines.subList(first, end)));
            } else if (lines.get(next).startsWith(INDENT) && (next == 0 || lines.get(next - 1).isBlank())) {
                while (end < lines.size() && lines.get(end).startsWith(INDENT)) {
                    end++;
                }
                blocks.add(of(page, first, SHELL, lines.subList(first, end)));
            }
            next = end + 1;
        }
        return blocks;
    }

    /** Of one page, those of a language. */
    public static List<CodeBlock> of(String page, String language) {
        return of(page).stream().filter(block -> block.language().equals(language)).toList();
    }

    private static CodeBlock of(String page, int first, String language, List<String> lines) {
        String code = lines.stream().collect(Collectors.joining("\n", "", "\n"));
        return new CodeBlock(page, first + 1, language, code.stripIndent());
    }

    private static List<String> lines(String page) {
        try {
            return Files.readAllLines(TOP.resolve(page));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The imports that a block of Java prints. */
    public List<String> imports() {
        return code.lines().filter(CodeBlock::imports).toList();
    }

    /** Its statements, without imports and without the comments that end lines, each line with single blanks. */
    public List<String> statements() {
        return code.lines().filter(line -> !imports(line)).map(line -> normal(line.replaceFirst("\\s//.*", "")))
                .filter(line -> !line.isBlank()).toList();
    }

    /** All blanks and ends of lines as one blank: how lines of a page are looked for in a test. */
    public static String normal(String code) {
        return code.replaceAll("\\s+", " ").strip();
    }

    static boolean imports(String line) {
        return line.startsWith("import ");
    }

    @Override
    public String toString() {
        return page + ":" + line;
    }
}
