package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Table;
import io.github.dl4jlora.console.Markdown;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A file of figures: where they come from, and tables.
 *
 * @param name   of the part that measured them
 * @param origin facts by name: version, commit, date, processor and so on
 * @param tables by anchor
 */
record FigureFile(String name, Map<String, String> origin, Map<String, Table> tables) {

    /** The fact that figures are means over seeds, and of which. */
    static final String SEEDS = "seeds";

    private static final List<String> ORIGIN = List.of("measured", "by");

    static FigureFile of(String name, Map<String, String> origin, List<Table> tables) {
        Map<String, Table> byAnchor = new LinkedHashMap<>();
        Table.joined(tables).stream().map(Table::withoutAbsent).filter(table -> table.rows().size() > 1)
                .forEach(table -> byAnchor.put(table.anchor(), table));
        return new FigureFile(name, origin, byAnchor);
    }

    String markdown() {
        List<List<String>> facts = new ArrayList<>(List.of(ORIGIN));
        origin.forEach((fact, value) -> facts.add(List.of(fact, value)));
        StringBuilder text = new StringBuilder("# Figures: ").append(name).append("\n\n").append(Markdown.paragraph("Written by "
                + "`mvn -q -pl benchmarks -am compile exec:exec@figures -Dargs=\"--part " + name + seeds()
                + "\"`; pages show these tables. [What is measured, and how](../benchmarks.md).")).append("\n\n");
        text.append(new Table("", "", facts).grid().replace("---:", "---"));
        if (origin.containsKey(SEEDS)) {
            text.append("\n").append(Markdown.paragraph("Numbers with ± are the mean over the seeds, and one standard deviation "
                    + "of a sample. SEED in the commands is each of them.")).append("\n");
        }
        tables.values().forEach(table -> text.append(table.markdown()));
        return text.toString();
    }

    private String seeds() {
        return origin.containsKey(SEEDS) ? " --seeds " + origin.get(SEEDS).split(", ").length : "";
    }

    /** Reads a file, or a page that has such a table of its origin. */
    static FigureFile read(Path file) throws IOException {
        String name = file.getFileName().toString().replaceFirst("\\.md$", "");
        Map<String, Table> tables;
        try (Stream<String> lines = Files.lines(file)) {
            tables = Table.read(lines);
        }
        Map<String, String> origin = new LinkedHashMap<>();
        Map<String, Table> figures = new LinkedHashMap<>();
        tables.forEach((anchor, table) -> {
            if (table.rows().get(0).equals(ORIGIN)) {
                table.rows().stream().skip(1).forEach(row -> origin.put(row.get(0), row.get(1)));
            } else {
                figures.put(anchor, table);
            }
        });
        return new FigureFile(name, origin, figures);
    }
}
