package io.github.dl4jlora.console;

import java.util.List;
import java.util.stream.Collectors;

/** Tables and paragraphs as Markdown, as the pages have them. */
public final class Markdown {

    private static final int WIDEST = 130;

    private Markdown() {
    }

    /**
     * {@return a table in which all columns but the first hold figures, without a line break at its end} In cells a slash stands
     * for a bar, and a blank for a line break, which would end a cell or the table.
     */
    public static String table(List<String> header, List<List<String>> rows) {
        return line(header) + "\n| --- |" + " ---: |".repeat(header.size() - 1) + "\n"
                + rows.stream().map(Markdown::line).collect(Collectors.joining("\n"));
    }

    private static String line(List<String> cells) {
        return cells.stream().map(cell -> cell.replace('|', '/').replace('\n', ' '))
                .collect(Collectors.joining(" | ", "| ", " |"));
    }

    /** {@return a paragraph in lines of at most 130 characters, but for a longer word} */
    public static String paragraph(String words) {
        StringBuilder lines = new StringBuilder();
        int column = 0;
        for (String word : words.split(" ")) {
            int length = word.codePointCount(0, word.length());
            boolean breaks = column > 0 && column + 1 + length > WIDEST;
            lines.append(column == 0 ? "" : breaks ? "\n" : " ").append(word);
            column = column == 0 || breaks ? length : column + 1 + length;
        }
        return lines.toString();
    }
}
