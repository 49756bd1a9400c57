package io.github.dl4jlora.report;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What {@code LoRA.apply} would make of a network, and how many bytes one training process would hold in addition to its data,
 * once DL4J's workspaces have learnt their sizes; {@link #toString} is a table for people.
 *
 * <pre>{@code
 * LoRAPlan plan = LoRA.plan(base, config, 32);             // batches of 32 examples; nothing is computed
 * System.out.println(plan);
 * System.out.println(plan.adapted().total() + " bytes in the place of " + plan.full().total());
 * }</pre>
 *
 * @param layers       what would train and what would not, by layer; as {@code LoRA.summary} of the adapted network
 * @param batch        examples of a training step
 * @param adapted      memory of training the adapters
 * @param full         memory of training the network itself: with the configuration's updater, or, if it has none, its own
 * @param adapterBytes of the values in an adapter's file; names and settings add a few kilobytes
 * @param rankBudget   the sum of the ranks that data will share out. Ranks and bytes here are counted with each matrix's own
 *                     rank, and may change with the data. Null: ranks are as configured
 */
public record LoRAPlan(LoRASummary layers, long batch, Memory adapted, Memory full, long adapterBytes,
                       @Nullable Integer rankBudget) {

    /**
     * Bytes of a process that trains.
     *
     * @param frozen      parameters that do not train, as they are kept: shared with the base, copied, or in fewer bits
     * @param trained     parameters that train
     * @param gradients   of the network's vector, frozen values in it included
     * @param updater     state of the updaters, as DL4J's {@code IUpdater.stateSize} counts it
     * @param activations what is kept from the forward pass to the backward pass; of outputs that are computed again those of
     *                    the largest block
     * @param workspaces  DL4J's other workspaces: the working memory of one layer at a time, and gradients of activations
     * @param scratch     outside of workspaces: W + s·A·B of layers that run on it, room for a few lines of quantised matrices,
     *                    outputs that no backward pass reads, and buffers inside ND4J's native convolutions over time and volumes
     */
    public record Memory(long frozen, long trained, long gradients, long updater, long activations, long workspaces,
                         long scratch) {

        /** {@return the sum of all} */
        public long total() {
            return frozen + trained + gradients + updater + activations + workspaces + scratch;
        }

        /** {@return the bytes of each part and of all, by their names in tables, in the order of the tables} */
        public Map<String, Long> byPart() {
            Map<String, Long> parts = new LinkedHashMap<>();
            parts.put("frozen parameters", frozen);
            parts.put("trained parameters", trained);
            parts.put("gradients", gradients);
            parts.put("updater state", updater);
            parts.put("activations", activations);
            parts.put("workspaces", workspaces);
            parts.put("scratch", scratch);
            parts.put("in all", total());
            return Collections.unmodifiableMap(parts);
        }
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(layers.toString()).append("\n\n");
        String head = "bytes of training, batch " + batch;
        text.append(line(head, "LoRA", "all parameters"));
        Map<String, Long> ofFull = full.byPart();
        adapted.byPart().forEach((part, bytes) ->
                text.append(line(part, LoRASummary.number(bytes), LoRASummary.number(ofFull.getOrDefault(part, 0L)))));
        text.append(line("adapter in a file", LoRASummary.number(adapterBytes), ""));
        if (rankBudget != null) {
            text.append("Counted with each matrix's own rank: rankBudget(").append(rankBudget)
                    .append(") redistributes the ranks once data is given.");
        }
        return text.toString().stripTrailing();
    }

    private static String line(String name, String ofAdapted, String ofFull) {
        return String.format(Locale.ROOT, "%-32s%18s%18s", name, ofAdapted, ofFull).stripTrailing() + "\n";
    }
}
