package io.github.dl4jlora.examples;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** A text table: the first column to the left, the others, which hold figures, to the right. */
public final class ResultTable {

    private static final String GAP = "   ";

    private final List<List<String>> rows = new ArrayList<>();
    private final int[] widths;

    public ResultTable(String... header) {
        widths = new int[header.length];
        row(header);
    }

    /**
     * Adds a row.
     *
     * @throws IllegalArgumentException if it has more or fewer cells than the header
     */
    public ResultTable row(String... cells) {
        if (cells.length != widths.length) {
            throw new IllegalArgumentException("A row of " + cells.length + " cells in a table of " + widths.length + " columns: "
                    + Arrays.toString(cells));
        }
        rows.add(List.of(cells));
        for (int i = 0; i < cells.length; i++) {
            widths[i] = Math.max(widths[i], cells[i].length());
        }
        return this;
    }

    /** {@return its first line, cell by cell} */
    public List<String> header() {
        return rows.get(0);
    }

    /** {@return the lines below that, cell by cell} */
    public List<List<String>> rows() {
        return rows.subList(1, rows.size());
    }

    /** Header, rule, rows; every line ends in a line break. */
    @Override
    public String toString() {
        int width = Arrays.stream(widths).sum() + GAP.length() * (widths.length - 1);
        List<String> lines = new ArrayList<>(rows.stream().map(this::line).toList());
        lines.add(1, "-".repeat(width));
        return lines.stream().map(line -> line + System.lineSeparator()).collect(Collectors.joining());
    }

    private String line(List<String> row) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            String padding = " ".repeat(widths[i] - row.get(i).length());
            line.append(i == 0 ? "" : GAP).append(i == 0 ? row.get(i) + padding : padding + row.get(i));
        }
        return line.toString().stripTrailing();
    }
}
