package io.github.dl4jlora.report;

import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What trains in a network and what does not, by layer; {@link #toString} is a table for people.
 *
 * <pre>{@code
 * LoRASummary summary = LoRA.summary(tuned);
 * System.out.println(summary);
 * System.out.println(summary.trainableParams() + " of " + summary.totalParams() + " values train");
 * }</pre>
 *
 * @param rows  in topological order
 * @param notes settings of the base that an adapted layer does not follow, a sentence for each layer; empty if there are none
 */
public record LoRASummary(List<Row> rows, List<String> notes) {

    private static final List<String> HEADER = List.of("layer", "type", "role", "rank", "alpha", "trainable", "frozen",
            "stored as", "bytes", "error");
    private static final int STORED_AS = HEADER.indexOf("stored as");

    /**
     * A line of the table: a layer, a vertex, or one matrix of a layer.
     *
     * @param name      as in the network; for one of several matrices of a layer as in adapter files, {@code lstm.W}
     * @param type      of the layer in the base network
     * @param role      adapted, and by what factor it is scaled; trained in full, frozen, …
     * @param rank      0 for a layer that is not adapted
     * @param alpha     0 for a layer that is not adapted
     * @param trainable number of trained values
     * @param frozen    number of values that are not trained
     * @param storedAs  how its weights are kept: a {@link io.github.dl4jlora.conf.Quantization}, or their data type;
     *                  empty for a layer without weights
     * @param bytes     of the values that are not trained, as they are kept
     * @param error     what quantising lost of its matrix, ‖W − Q(W)‖ / ‖W‖ in Frobenius norms, the largest where there are
     *                  several; NaN where nothing is quantised, or where the base is not available
     */
    public record Row(String name, String type, String role, int rank, double alpha, long trainable, long frozen,
                      String storedAs, long bytes, double error) {
    }

    /**
     * A summary without notes.
     *
     * @param rows in topological order
     */
    public LoRASummary(List<Row> rows) {
        this(rows, List.of());
    }

    /** {@return the number of trained values} */
    public long trainableParams() {
        return rows.stream().mapToLong(Row::trainable).sum();
    }

    /** {@return the number of all values, frozen ones included} */
    public long totalParams() {
        return rows.stream().mapToLong(row -> row.trainable + row.frozen).sum();
    }

    /** {@return bytes of all values that are not trained, as they are kept} */
    public long frozenBytes() {
        return rows.stream().mapToLong(Row::bytes).sum();
    }

    /** {@return the largest {@link Row#error}; empty where nothing is quantised} */
    public OptionalDouble largestError() {
        return rows.stream().mapToDouble(Row::error).filter(error -> !Double.isNaN(error)).max();
    }

    /** {@return trained values in percent of all} */
    public double trainablePercent() {
        return totalParams() == 0 ? 0 : 100.0 * trainableParams() / totalParams();
    }

    @Override
    public String toString() {
        List<List<String>> body = rows.stream().map(LoRASummary::cells).toList();
        List<List<String>> cells = Stream.concat(Stream.of(HEADER), body.stream()).toList();
        // 0 where a column has nothing below its heading, and is left out.
        int[] widths = IntStream.range(0, HEADER.size()).map(i ->
                !body.isEmpty() && body.stream().allMatch(row -> row.get(i).isEmpty()) ? 0
                        : cells.stream().mapToInt(row -> row.get(i).length()).max().orElseThrow()).toArray();
        String table = cells.stream().map(row -> line(row, widths)).collect(Collectors.joining("\n"));
        return table + String.format(Locale.ROOT, "%ntrainable params: %,d || all params: %,d || trainable%%: %.4f",
                trainableParams(), totalParams(), trainablePercent())
                + notes.stream().map(note -> System.lineSeparator() + note).collect(Collectors.joining());
    }

    private static List<String> cells(Row row) {
        boolean adapted = row.rank > 0;
        return List.of(row.name, row.type, row.role, adapted ? String.valueOf(row.rank) : "",
                adapted ? String.valueOf(row.alpha) : "", number(row.trainable), number(row.frozen), row.storedAs,
                number(row.bytes), Double.isNaN(row.error) ? "" : String.format(Locale.ROOT, "%.2f %%", 100 * row.error));
    }

    static String number(long value) {
        return String.format(Locale.ROOT, "%,d", value);
    }

    private static String line(List<String> row, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            if (widths[i] > 0) {
                boolean numeric = i >= 3 && i != STORED_AS;
                String padding = " ".repeat(widths[i] - row.get(i).length());
                line.append(numeric ? padding + row.get(i) : row.get(i) + padding).append("  ");
            }
        }
        return line.toString().stripTrailing();
    }
}
