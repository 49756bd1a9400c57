package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Table;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Tables that are computed from several files. */
final class Summary {

    /** What stands in the place of a file's name. */
    static final String NAME = "summary";
    /** Whose tables it is computed from. */
    static final List<String> SOURCES = List.of("dense", "lstm", "encoder");

    private static final String STEPS = "steps";

    private static final Pattern BRACKETS = Pattern.compile("\\((.*)\\)");
    private static final String CHAINS = "time-per-training-step-one-thread";

    private Summary() {
    }

    /** @throws IllegalArgumentException if there is no such summary, or if one of its figures is not there */
    static Table of(FigureFiles files, String name) {
        if (!name.equals(STEPS)) {
            throw new IllegalArgumentException("There is no summary " + name + ", only " + STEPS);
        }
        return steps(files);
    }

    /** Steps on one thread as a share of PyTorch's, by the base's type. */
    private static Table steps(FigureFiles files) {
        Map<String, BiFunction<String, String, String>> columns = new LinkedHashMap<>();
        for (String width : List.of("256", "1024", "2048")) {
            columns.put("dense, " + width + " wide", (side, task) -> inBrackets(files.table("dense/" + CHAINS)
                    .cell(side, width + " wide")));
        }
        columns.put("two LSTMs", (side, task) -> files.table("lstm/lstms")
                .cell("two LSTM layers of 256 units, 64 steps, batch 32; " + side + ", one thread", "/ PyTorch"));
        columns.put("MiniLM", (side, task) -> files.table("encoder/a-bert-encoder").cell(task + "; one thread",
                "/ PyTorch"));
        List<List<String>> rows = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of("base in"));
        head.addAll(columns.keySet());
        rows.add(head);
        for (String type : List.of("FLOAT", "BF16", "INT8")) {
            String side = type.equals("FLOAT") ? "LoRA" : "LoRA, base in " + type;
            String task = type.equals("FLOAT") ? "training step, LoRA on query and value, rank 8" : "the same, base in " + type;
            List<String> row = new ArrayList<>(List.of(type));
            columns.forEach((column, share) -> {
                String cell = share.apply(side, task);
                if (cell.isEmpty()) {
                    throw new IllegalArgumentException(NAME + "/" + STEPS + " has no figure for " + column + ", base in " + type);
                }
                row.add(cell);
            });
            rows.add(row);
        }
        return new Table("Steps", "", rows);
    }

    private static String inBrackets(String cell) {
        Matcher matcher = BRACKETS.matcher(cell);
        return matcher.find() ? matcher.group(1) : "";
    }
}
