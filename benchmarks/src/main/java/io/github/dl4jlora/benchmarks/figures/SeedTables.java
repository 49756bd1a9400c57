package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Table;
import io.github.dl4jlora.examples.Spread;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/** Tables of one command that was run with several seeds, as tables of means. */
final class SeedTables {

    /** A number as programs print it, and what stands behind it, such as a unit. */
    private static final Pattern NUMBER = Pattern.compile("(-?\\d[\\d,]*(?:\\.(\\d+))?)(\\D*)");

    private SeedTables() {
    }

    /**
     * {@return the tables, with mean ± standard deviation where a cell's numbers differ} A cell that is the same in all runs
     * stays as it is. Cells that differ and are no numbers with the same unit stand side by side.
     *
     * @param runs the tables of each run
     * @throws IllegalStateException if runs have not the same tables, columns or rows
     */
    static List<Table> combined(List<List<Table>> runs) {
        List<Table> first = runs.get(0);
        requireSame("tables", runs.stream().map(tables -> tables.stream().map(Table::title).toList()).toList());
        return IntStream.range(0, first.size()).mapToObj(i -> combinedTable(runs.stream().map(tables -> tables.get(i)).toList()))
                .toList();
    }

    private static Table combinedTable(List<Table> runs) {
        Table first = runs.get(0);
        requireSame("columns of " + first.title(), runs.stream().map(table -> table.rows().get(0)).toList());
        requireSame("rows of " + first.title(), runs.stream().map(table -> table.rows().stream().map(row -> row.get(0)).toList())
                .toList());
        List<List<String>> rows = new ArrayList<>();
        for (int row = 0; row < first.rows().size(); row++) {
            int of = row;
            rows.add(IntStream.range(0, first.rows().get(row).size()).mapToObj(column -> cell(runs.stream()
                    .map(table -> table.rows().get(of).get(column)).toList())).toList());
        }
        return new Table(first.title(), first.note(), rows);
    }

    private static void requireSame(String what, List<List<String>> runs) {
        for (List<String> run : runs) {
            if (!run.equals(runs.get(0))) {
                throw new IllegalStateException("Seeds gave other " + what + ", which cannot be combined: " + runs.get(0)
                        + " and " + run);
            }
        }
    }

    private static String cell(List<String> cells) {
        if (cells.stream().distinct().count() == 1) {
            return cells.get(0);
        }
        List<Matcher> numbers = cells.stream().map(NUMBER::matcher).filter(Matcher::matches).toList();
        if (numbers.size() < cells.size() || numbers.stream().map(number -> number.group(3)).distinct().count() > 1) {
            return String.join("; ", cells);
        }
        int decimals = numbers.stream().mapToInt(number -> number.group(2) == null ? 0 : number.group(2).length()).max()
                .orElseThrow();
        Spread spread = Spread.of(numbers, number -> Double.parseDouble(number.group(1).replace(",", "")));
        String format = (cells.stream().anyMatch(cell -> cell.contains(",")) ? "%,." : "%.") + decimals + "f";
        return String.format(Locale.ROOT, format + " ± " + format, spread.mean(), spread.deviation()) + numbers.get(0).group(3);
    }
}
