package io.github.dl4jlora.evidence;

import java.util.List;
import java.util.stream.Collectors;

/** Tables and pictures as Markdown. */
final class Markdown {

    private static final int WIDEST = 130;

    private Markdown() {
    }

    /** A table in which all columns but the first hold figures. */
    static String table(List<String> header, List<List<String>> rows) {
        return line(header) + "\n| --- |" + " ---: |".repeat(header.size() - 1) + "\n"
                + rows.stream().map(Markdown::line).collect(Collectors.joining("\n"));
    }

    private static String line(List<String> cells) {
        return "| " + String.join(" | ", cells) + " |";
    }

    /** Wraps a paragraph at the line length of other pages. */
    static String paragraph(String words) {
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

    static String image(String title, String file) {
        return "![" + title + "](evidence/" + file + ".png)";
    }
}
