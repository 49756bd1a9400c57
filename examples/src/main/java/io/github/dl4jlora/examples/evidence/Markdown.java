package io.github.dl4jlora.examples.evidence;

import java.util.List;
import java.util.stream.Collectors;

/** Tables and pictures as Markdown. */
final class Markdown {

    private Markdown() {
    }

    /** Of figures, but for the first column. */
    static String table(List<String> header, List<List<String>> rows) {
        return line(header) + "\n| --- |" + " ---: |".repeat(header.size() - 1) + "\n"
                + rows.stream().map(Markdown::line).collect(Collectors.joining("\n"));
    }

    private static String line(List<String> cells) {
        return "| " + String.join(" | ", cells) + " |";
    }

    static String image(String title, String file) {
        return "![" + title + "](evidence/" + file + ".png)";
    }
}
