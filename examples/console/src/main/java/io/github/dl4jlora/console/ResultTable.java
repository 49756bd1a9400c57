package io.github.dl4jlora.console;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A text table. The first column is aligned left, the others, which hold figures, are aligned right. In a table that is too wide,
 * headings and then cells are wrapped. Columns below whose headings all cells are empty are left out, and nothing else is.
 */
public final class ResultTable {

    private static final String GAP = "   ";
    private static final int NARROWEST_COLUMN = 3;
    /** Characters after which a word, such as a layer's name or a number, may be broken. */
    private static final String BREAKS = "-_./,";

    private final List<List<String>> rows = new ArrayList<>();
    private final int columns;

    public ResultTable(String... header) {
        columns = header.length;
        row(header);
    }

    /**
     * Adds a row.
     *
     * @throws IllegalArgumentException if it has more or fewer cells than the header
     */
    public ResultTable row(String... cells) {
        if (cells.length != columns) {
            throw new IllegalArgumentException("A row of " + cells.length + " cells in a table of " + columns + " columns: "
                    + Arrays.toString(cells));
        }
        rows.add(List.of(cells));
        return this;
    }

    /** {@return the cells of the header} */
    public List<String> header() {
        return rows.get(0);
    }

    /** {@return the cells of the rows below the header} */
    public List<List<String>> rows() {
        return rows.subList(1, rows.size());
    }

    /** Header, rule, rows, in at most 80 columns; every line ends in a line break. */
    @Override
    public String toString() {
        return toString(Terminal.USUAL_COLUMNS);
    }

    /**
     * As {@link #toString()}, in lines of at most {@code most} characters, if they leave {@value #NARROWEST_COLUMN} for each
     * column.
     */
    public String toString(int most) {
        List<List<String>> shown = withoutEmptyColumns();
        int count = shown.get(0).size();
        int[] widths = IntStream.range(0, count).map(i -> shown.stream().mapToInt(row -> row.get(i).length()).max().orElse(0))
                .toArray();
        String gap = GAP;
        if (width(widths, gap) > most) {
            // Headings are wrapped first, since that costs the least legibility.
            for (int i = 0; i < count; i++) {
                int column = i;
                int words = Arrays.stream(shown.get(0).get(i).split(" ")).mapToInt(String::length).max().orElse(0);
                widths[i] = Math.max(words, shown.stream().skip(1).mapToInt(row -> row.get(column).length()).max().orElse(0));
            }
        }
        while (width(widths, gap) > most && gap.length() > 1) {
            gap = gap.substring(1);
        }
        for (int excess = width(widths, gap) - most; excess > 0; excess--) {
            int widest = IntStream.range(0, count).reduce((a, b) -> widths[b] > widths[a] ? b : a).orElseThrow();
            widths[widest] = Math.max(NARROWEST_COLUMN, widths[widest] - 1);
        }
        StringBuilder table = new StringBuilder();
        for (int i = 0; i < shown.size(); i++) {
            append(table, shown.get(i), widths, gap);
            if (i == 0) {
                table.append("-".repeat(width(widths, gap))).append(System.lineSeparator());
            }
        }
        return table.toString();
    }

    /** The first column and a table without rows stay as they are. */
    private List<List<String>> withoutEmptyColumns() {
        List<Integer> kept = IntStream.range(0, columns).filter(i -> i == 0 || rows.size() == 1
                || rows.stream().skip(1).anyMatch(row -> !row.get(i).isEmpty())).boxed().toList();
        return rows.stream().map(row -> kept.stream().map(row::get).toList()).toList();
    }

    private static int width(int[] widths, String gap) {
        return Arrays.stream(widths).sum() + gap.length() * (widths.length - 1);
    }

    private static void append(StringBuilder table, List<String> row, int[] widths, String gap) {
        List<List<String>> cells = IntStream.range(0, widths.length).mapToObj(i -> broken(row.get(i), widths[i])).toList();
        int lines = cells.stream().mapToInt(List::size).max().orElse(1);
        for (int n = 0; n < lines; n++) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < widths.length; i++) {
                String cell = n < cells.get(i).size() ? cells.get(i).get(n) : "";
                String padding = " ".repeat(widths[i] - cell.length());
                line.append(i == 0 ? "" : gap).append(i == 0 ? cell + padding : padding + cell);
            }
            table.append(line.toString().stripTrailing()).append(System.lineSeparator());
        }
    }

    /** Wraps a cell, at a space or after one of {@link #BREAKS} if possible. */
    private static List<String> broken(String cell, int width) {
        List<String> lines = new ArrayList<>();
        String rest = cell;
        while (rest.length() > width) {
            int end = rest.lastIndexOf(' ', width);
            for (int i = width; end < 1 && i > width / 2; i--) {
                end = BREAKS.indexOf(rest.charAt(i - 1)) >= 0 ? i : end;
            }
            end = end < 1 ? width : end;
            lines.add(rest.substring(0, end).stripTrailing());
            rest = rest.substring(end).stripLeading();
        }
        lines.add(rest);
        return lines;
    }
}
