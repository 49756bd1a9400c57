package io.github.dl4jlora.benchmarks.figures;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Tables of text, as programs print them: a head, a rule of dashes, and rows to an empty line, with a gap of three characters
 * between columns.
 */
final class PrintedTables {

    private static final String RULE = "-{10,}";
    private static final int GAP = 3;

    private PrintedTables() {
    }

    /** {@return the rows of each table, the first of which is the head} */
    static List<List<List<String>>> of(List<String> lines) {
        List<List<List<String>>> tables = new ArrayList<>();
        for (int rule = 1; rule < lines.size(); rule++) {
            if (lines.get(rule).matches(RULE)) {
                List<String> rows = new ArrayList<>(List.of(lines.get(rule - 1)));
                for (int i = rule + 1; i < lines.size() && !lines.get(i).isBlank(); i++) {
                    rows.add(lines.get(i));
                }
                tables.add(cells(rows));
            }
        }
        return tables;
    }

    /** Each column is filled by one of its cells, so that what is blank in all rows for the width of a gap is one. */
    private static List<List<String>> cells(List<String> rows) {
        int width = rows.stream().mapToInt(String::length).max().orElseThrow();
        List<Integer> begins = new ArrayList<>(List.of(0));
        int blank = 0;
        for (int i = 0; i < width; i++) {
            int at = i;
            boolean isBlank = rows.stream().allMatch(row -> at >= row.length() || row.charAt(at) == ' ');
            if (!isBlank && blank >= GAP) {
                begins.add(i);
            }
            blank = isBlank ? blank + 1 : 0;
        }
        begins.add(width);
        return rows.stream().map(row -> IntStream.range(1, begins.size()).mapToObj(i -> row.substring(
                Math.min(begins.get(i - 1), row.length()), Math.min(begins.get(i), row.length())).strip()).toList()).toList();
    }
}
