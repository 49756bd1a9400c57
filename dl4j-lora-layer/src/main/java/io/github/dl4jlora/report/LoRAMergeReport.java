package io.github.dl4jlora.report;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * What a merge does to the weights of each adapted layer; {@link #toString} is a table for people.
 *
 * <pre>{@code
 * LoRAMergeReport report = LoRA.merging(tuned).report();
 * System.out.println(report);
 * if (report.leastSurviving() < 0.9) {
 *     System.out.println("rounding to the base's type loses a part of what was learned");
 * }
 * }</pre>
 *
 * @param rows in topological order
 */
public record LoRAMergeReport(List<Row> rows) {

    /**
     * One adapted matrix. Let W be the base's weights, ΔW the change that is merged, computed in double precision, and W' what
     * the merge writes, in the network's data type.
     *
     * @param layer         the layer's name, {@code layer.key} where it has several matrices
     * @param surviving     the share of ΔW that survives rounding, 1 − ‖W' − (W + ΔW)‖ / ‖ΔW‖ in Frobenius norms: 1 if nothing
     *                      is lost, or ΔW is zero; 0 if every change was below half a unit in the last place of its weight, or
     *                      the errors are larger than the changes. The latter takes several roundings, as with DoRA: W itself
     *                      can be represented, so that a single rounding moves a sum no farther than back to W
     * @param largestChange the largest |W' − W| of a weight
     * @param relativeNorm  ‖ΔW‖ / ‖W‖; infinity if only W is zero, 0 if ΔW is
     * @param baseError     ‖W − V‖ / ‖V‖, where V is what the original base holds and W what the adapted network kept of it: 0
     *                      where it is kept as it is; NaN without {@link io.github.dl4jlora.LoRAMerge#against}
     */
    public record Row(String layer, double surviving, double largestChange, double relativeNorm, double baseError) {
    }

    /**
     * Copies the rows into a list that cannot be changed.
     *
     * @param rows in topological order
     */
    public LoRAMergeReport {
        rows = List.copyOf(rows);
    }

    /** {@return the smallest {@link Row#surviving} of all} */
    public double leastSurviving() {
        return rows.stream().mapToDouble(Row::surviving).min().orElse(1);
    }

    @Override
    public String toString() {
        int width = Math.max(5, rows.stream().mapToInt(row -> row.layer.length()).max().orElse(0));
        boolean compared = rows.stream().anyMatch(row -> !Double.isNaN(row.baseError));
        String line = "%-" + width + "s  %9s  %14s  %13s" + (compared ? "  %10s" : "");
        return String.format(Locale.ROOT, line, "layer", "surviving", "largest change", "relative norm", "base error")
                + rows.stream().map(row -> String.format(Locale.ROOT, "%n" + line, row.layer,
                        String.format(Locale.ROOT, "%.4f%%", 100 * row.surviving),
                        String.format(Locale.ROOT, "%.3g", row.largestChange),
                        String.format(Locale.ROOT, "%.3g", row.relativeNorm),
                        String.format(Locale.ROOT, "%.2f %%", 100 * row.baseError))).collect(Collectors.joining());
    }
}
