package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.console.Markdown;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * A table of a report, as it is written to Markdown and read back.
 *
 * @param note what a reader must know; may be empty
 * @param rows the first is the head
 */
public record Table(String title, String note, List<List<String>> rows) {

    private static final String ABSENT = "absent";
    private static final Pattern ANCHOR = Pattern.compile("<a id=\"([^\"]+)\"></a>");
    private static final Pattern HEADING = Pattern.compile("#+ (.*)");

    /** Three significant digits, or about as many. */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return ABSENT;
        }
        return value >= 100 ? String.format(Locale.ROOT, "%.0f", value)
                : value >= 10 ? String.format(Locale.ROOT, "%.1f", value)
                : value >= 0.1 ? String.format(Locale.ROOT, "%.2f", value) : String.format(Locale.ROOT, "%.4f", value);
    }

    static String megabytes(double bytes) {
        return number(bytes / 1e6);
    }

    /** {@return title, note and rows} */
    public String markdown() {
        return "\n### " + title + "\n\n" + (note.isEmpty() ? "" : Markdown.paragraph(note) + "\n\n") + grid();
    }

    /** {@return the rows alone, as {@link Markdown#table} has them; every line ends in a line break} */
    public String grid() {
        return Markdown.table(rows.get(0), rows.subList(1, rows.size())) + "\n";
    }

    /**
     * Reads the tables of a page.
     *
     * @return the tables by the anchor of the heading above, the second one under a heading with "-2" behind it; notes are empty
     */
    public static Map<String, Table> read(Stream<String> page) {
        Map<String, Table> tables = new LinkedHashMap<>();
        String title = "";
        String anchor = "";
        String told = null;
        List<List<String>> rows = new ArrayList<>();
        for (String line : (Iterable<String>) Stream.concat(page, Stream.of(""))::iterator) {
            Matcher tells = ANCHOR.matcher(line);
            Matcher heading = HEADING.matcher(line);
            if (line.startsWith("|")) {
                rows.add(cells(line));
            } else if (!rows.isEmpty()) {
                rows.remove(1);
                String of = anchor;
                String name = IntStream.iterate(1, i -> i + 1).mapToObj(i -> i == 1 ? of : of + "-" + i)
                        .filter(free -> !tables.containsKey(free)).findFirst().orElseThrow();
                tables.put(name, new Table(title, "", List.copyOf(rows)));
                rows.clear();
            }
            if (tells.matches()) {
                told = tells.group(1);
            } else if (heading.matches()) {
                title = heading.group(1);
                anchor = told == null ? anchor(title) : told;
                told = null;
            }
        }
        return tables;
    }

    private static List<String> cells(String line) {
        return Stream.of(line.substring(1, line.lastIndexOf('|')).split("\\|", -1)).map(String::strip).toList();
    }

    /** {@return the anchor that GitHub gives a heading} */
    public static String anchor(String heading) {
        return heading.strip().toLowerCase(Locale.ROOT).replaceAll("[^\\p{L}\\p{N}_\\- ]", "").replace(' ', '-');
    }

    /** {@return the anchor of its title} */
    public String anchor() {
        return anchor(title);
    }

    /** {@return this table without columns and rows that have no figure, and without targets that were not measured} */
    public Table withoutAbsent() {
        List<List<String>> filled = rows.stream().filter(row -> row == rows.get(0) || row.size() < 2
                || row.stream().skip(1).anyMatch(Table::isFigure)).toList();
        List<Integer> columns = IntStream.range(0, rows.get(0).size()).filter(i -> i == 0 || filled.size() < 2
                || filled.stream().skip(1).anyMatch(row -> isFigure(row.get(i)))).boxed().toList();
        return new Table(title, note, filled.stream().filter(row -> !row.get(row.size() - 1).equals("not measured"))
                .map(row -> columns.stream().map(row::get).map(cell -> cell.equals(ABSENT) ? "" : cell).toList()).toList());
    }

    private static boolean isFigure(String cell) {
        return !cell.isEmpty() && !cell.equals(ABSENT);
    }

    /**
     * {@return the rows whose first cell ends so, without that end and the comma or semicolon before it, or whose last cell is
     * this}
     */
    public Table rowsEnding(String end) {
        List<List<String>> chosen = rows.stream().skip(1).filter(row -> row.get(0).endsWith(end)
                || row.get(row.size() - 1).equals(end)).map(row -> {
                    String name = row.get(0).endsWith(end)
                            ? row.get(0).substring(0, row.get(0).length() - end.length()).replaceFirst("[,;] $", "") : row.get(0);
                    return Stream.concat(Stream.of(name), row.stream().skip(1)).toList();
                }).toList();
        return new Table(title, note, Stream.concat(Stream.of(rows.get(0)), chosen.stream()).toList());
    }

    /** {@return the cell of a row and column, by their names, or the empty string if there is none} */
    public String cell(String row, String column) {
        int index = rows.get(0).indexOf(column);
        return rows.stream().skip(1).filter(cells -> index >= 0 && cells.get(0).equals(row)).map(cells -> cells.get(index))
                .findFirst().orElse("");
    }

    /** {@return tables in their order; those with one title and head are one table, with the rows of all} */
    public static List<Table> joined(List<Table> tables) {
        Map<List<Object>, Table> joined = new LinkedHashMap<>();
        for (Table table : tables) {
            joined.merge(List.of(table.title, table.rows.get(0)), table, (first, more) -> new Table(first.title, first.note,
                    Stream.of(first.rows, more.rows.subList(1, more.rows.size())).flatMap(List::stream).toList()));
        }
        return List.copyOf(joined.values());
    }

    String html() {
        StringBuilder text = new StringBuilder("<h2>").append(escaped(title)).append("</h2><p>").append(escaped(note))
                .append("</p><div class=\"wide\"><table>\n");
        for (int i = 0; i < rows.size(); i++) {
            String cell = i == 0 ? "th" : "td";
            text.append("<tr>");
            rows.get(i).forEach(value -> text.append('<').append(cell).append('>').append(escaped(value)).append("</")
                    .append(cell).append('>'));
            text.append("</tr>\n");
        }
        return text.append("</table></div>\n").toString();
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
