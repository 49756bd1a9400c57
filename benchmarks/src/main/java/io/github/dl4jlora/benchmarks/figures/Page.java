package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Table;
import io.github.dl4jlora.console.Markdown;
import io.github.dl4jlora.console.Origin;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A page with blocks that show figures:
 *
 * <ul>
 *   <li>{@code <!-- figures: FILE/TABLE -->}: a table;</li>
 *   <li>{@code <!-- figures: FILE/TABLE; rows: END -->}: the rows whose name ends so, or whose last cell is this;</li>
 *   <li>{@code <!-- figures: FILE -->}: where the file's figures come from.</li>
 * </ul>
 *
 * <p>FILE is one of docs/figures, {@code evidence} for docs/evidence.md, or {@code summary} for what is computed from several. A
 * block lasts to {@code <!-- /figures -->}.
 */
final class Page {

    private static final Pattern BLOCK = Pattern.compile(
            "(<!-- figures: ([^ ;]+?)(?:; rows: (.+?))? -->\n)(.*?)(<!-- /figures -->)", Pattern.DOTALL);
    /** Also a misspelt one, so that the block before it does not take in the next. */
    private static final Pattern MARK = Pattern.compile("<!--\\s*/?\\s*figures?\\b");

    /** The one filter that may leave no rows, and what then stands there. */
    private static final String MISSED = "missed";
    private static final String NONE = "None.\n";

    private final Path path;
    private final String text;

    private Page(Path path, String text) {
        this.path = path;
        this.text = text;
    }

    /** {@return README.md and all pages of docs, but for docs/figures} */
    static List<Page> all(Path top) throws IOException {
        try (Stream<Path> docs = Files.walk(top.resolve("docs"))) {
            List<Path> paths = Stream.concat(Stream.of(top.resolve("README.md")), docs.filter(path ->
                    path.toString().endsWith(".md") && !path.startsWith(top.resolve("docs/figures"))).sorted()).toList();
            List<Page> pages = new ArrayList<>();
            for (Path path : paths) {
                pages.add(new Page(path, Files.readString(path)));
            }
            return pages;
        }
    }

    Path path() {
        return path;
    }

    String text() {
        return text;
    }

    /** {@return the names in all blocks, in order} */
    List<String> blocks() {
        return BLOCK.matcher(text).results().map(block -> block.group(2)).toList();
    }

    /**
     * {@return the text with blocks as the files have them}
     *
     * @throws IllegalArgumentException if a block does not begin or end, or names a file, table or rows that are not there
     */
    String filled(FigureFiles files) {
        long marks = MARK.matcher(text).results().count();
        if (marks != 2L * blocks().size()) {
            throw new IllegalArgumentException(path + " has " + marks + " marks for " + blocks().size() + " blocks: each block "
                    + "must begin with <!-- figures: FILE/TABLE --> and end with <!-- /figures --> before the next begins");
        }
        try {
            return BLOCK.matcher(text).replaceAll(block -> {
                String name = block.group(2);
                String shown = name.contains("/") ? shown(files, name, block.group(3)) : origin(files, name);
                return Matcher.quoteReplacement(block.group(1) + shown + block.group(5));
            });
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(path + ": " + e.getMessage(), e);
        }
    }

    private static String shown(FigureFiles files, String name, String end) {
        Table table = files.table(name);
        Table chosen = end == null ? table : table.rowsEnding(end);
        if (chosen.rows().size() > 1) {
            return chosen.grid();
        }
        if (MISSED.equals(end)) {
            return NONE;
        }
        throw new IllegalArgumentException("the block " + name + (end == null ? " has no rows" : "; rows: " + end
                + " has no rows: the name of none ends so, and the last cell of none is this"));
    }

    /** Sources of the same origin have one sentence. */
    private String origin(FigureFiles files, String name) {
        Map<String, List<String>> links = new LinkedHashMap<>();
        for (String source : name.equals(Summary.NAME) ? Summary.SOURCES : List.of(name)) {
            String link = path.getParent().relativize(files.path(source)).toString().replace('\\', '/');
            links.computeIfAbsent(Origin.sentence(files.file(source).origin()), sentence -> new ArrayList<>())
                    .add("[" + source + "](" + link + ")");
        }
        return links.entrySet().stream().map(origin -> Markdown.paragraph(String.join(", ", origin.getValue()) + ": "
                + origin.getKey())).collect(Collectors.joining("\n\n")) + "\n";
    }

    void write(String filled) throws IOException {
        Files.writeString(path, filled);
    }
}
