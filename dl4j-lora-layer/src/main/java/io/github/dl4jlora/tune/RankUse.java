package io.github.dl4jlora.tune;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.content.Delta;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * How much of its rank a layer's change uses, by one figure: how many of ΔW's directions hold 99 % of it, that is, of ‖ΔW‖², the
 * sum of the squares of its singular values. It is the rank to which {@link LoRAAdapter#compressToEnergy} truncates.
 *
 * <pre>{@code
 * RankUse.of(LoRAAdapter.of(tuned)).forEach((layer, use) ->
 *         System.out.println(layer + " uses " + use.needed() + " of " + use.directions() + " directions"));
 * }</pre>
 *
 * @param rank       of A and B
 * @param directions that ΔW can have: the rank, fewer in a layer that is narrower, up to twice as many where A and B started as a
 *                   part of W
 * @param needed     how many of the directions hold 99 % of ‖ΔW‖², the strongest first; at least 1
 * @param trained    whether ΔW is not zero, except for rounding
 */
public record RankUse(int rank, int directions, int needed, boolean trained) {

    /** The share of ‖ΔW‖² that a rank must keep to be enough. At most √(1 − 0.99) of ‖ΔW‖ is then lost, a tenth. */
    public static final double NEARLY_ALL = 0.99;
    /** ‖ΔW‖ as a share of |s|·‖A‖·‖B‖ up to which ΔW is zero except for rounding. */
    private static final double ROUNDING = 1e-6;
    /** Says what percentages of a change are, for readers who do not have this page. */
    public static final String MEANING = "Shares of a change are shares of its sum of squares, the square of its norm.";

    /**
     * The rank use of each layer, in the adapter's order.
     *
     * @param adapter an adapter whose layers only add to their weights
     * @return by layer
     * @throws IllegalArgumentException for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public static Map<String, RankUse> of(LoRAAdapter adapter) {
        LoRAAdapter smallest = adapter.compressToEnergy(NEARLY_ALL).adapter();
        Map<String, RankUse> uses = new LinkedHashMap<>();
        adapter.layers().forEach(layer -> uses.put(layer, new RankUse(adapter.rank(layer), adapter.spectrum(layer).length,
                smallest.rank(layer), !isUnchanged(adapter, layer))));
        return uses;
    }

    /** Whether ΔW is zero except for rounding, as it also is where A and B start orthogonal and have not moved. */
    static boolean isUnchanged(LoRAAdapter adapter, String layer) {
        Delta delta = ContentAccess.of(adapter).delta(layer);
        return delta.changesNothing() || !delta.kind().init().isTakenFromW() && adapter.norm(layer) <= ROUNDING
                * Math.abs(delta.factor()) * delta.a().norm2Number().doubleValue() * delta.b().norm2Number().doubleValue();
    }

    /** A sentence for people, in characters that every terminal has. */
    @Override
    public String toString() {
        if (!trained) {
            return "The change is zero: this layer was not trained.";
        }
        String start = directions > rank ? String.format(Locale.ROOT, "Its start was taken from W, so its change has up to %d "
                + "directions, not %d. As plain LoRA: ", directions, rank)
                : directions < rank ? String.format(Locale.ROOT, "The layer is narrower than rank %d. ", rank) : "";
        return start + (directions == 1 ? "It has one direction, and there is no smaller rank."
                : needed == directions
                ? String.format(Locale.ROOT, "All %d directions are needed for 99 %% of the change: rank %1$d %s.", directions,
                directions == rank ? "is used up" : "would do")
                : String.format(Locale.ROOT, "%d of %d directions hold%s 99 %% of the change: rank %1$d would do.", needed,
                directions, needed == 1 ? "s" : ""));
    }
}
