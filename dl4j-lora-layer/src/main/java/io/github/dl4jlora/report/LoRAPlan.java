package io.github.dl4jlora.report;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Locale;

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
     * @param activations what DL4J keeps from the forward pass to the backward pass
     * @param workspaces  DL4J's other workspaces: the working memory of one layer at a time, and gradients of activations
     * @param scratch     outside of workspaces: W + s·A·B of layers that run on it, room for a few lines of quantised matrices,
     *                    and buffers inside ND4J's native convolutions over time and volumes
     */
    public record Memory(long frozen, long trained, long gradients, long updater, long activations, long workspaces,
                         long scratch) {

        /** {@return the sum of all} */
        public long total() {
            return frozen + trained + gradients + updater + activations + workspaces + scratch;
        }

        private List<Long> parts() {
            return List.of(frozen, trained, gradients, updater, activations, workspaces, scratch, total());
        }
    }

    private static final List<String> PARTS = List.of("frozen parameters", "trained parameters", "gradients", "updater state",
            "activations", "workspaces", "scratch", "in all");

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(layers.toString()).append("\n\n");
        String head = "bytes of training, batch " + batch;
        text.append(line(head, "LoRA", "all parameters"));
        for (int i = 0; i < PARTS.size(); i++) {
            text.append(line(PARTS.get(i), LoRASummary.number(adapted.parts().get(i)), LoRASummary.number(full.parts().get(i))));
        }
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
