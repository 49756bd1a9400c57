package io.github.dl4jlora.models.bert;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.MultiDataSet;

import java.util.List;

/** {@code exp(mean of -log p)} over the masked tokens of a text: the number of equally likely words that are as hard to guess. */
final class Perplexity {

    private Perplexity() {
    }

    /** @param batches of {@link MaskedBatches} */
    static double of(ComputationGraph network, List<MultiDataSet> batches) {
        double losses = 0;
        long told = 0;
        for (MultiDataSet batch : batches) {
            int here = MaskedBatches.told(batch);
            losses += network.score(batch, false) * here;
            told += here;
            // DL4J keeps the outputs of all layers outside of workspaces here, hundreds of megabytes a batch.
            System.gc();
        }
        return Math.exp(losses / told);
    }
}
