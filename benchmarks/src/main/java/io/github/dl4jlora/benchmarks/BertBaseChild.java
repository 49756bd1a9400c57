package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A child process that takes turns: times a training step or forward pass of BERT-base's architecture with random weights. It
 * tells the bytes taken beyond what was resident before the first, too, and the largest resident size.
 */
final class BertBaseChild {

    static final TransformerShape SHAPE = TransformerShape.bert(30522, 512, 768, 3072, 12, 12);

    private BertBaseChild() {
    }

    public static void main(String[] args) throws InterruptedException {
        BertBaseTask task = BertBaseTask.valueOf(args[0]);
        ComputationGraph network = EncoderChild.adapted(SHAPE, BertBaseTask.RANK, task.scheme());
        DataSet batch = EncoderChild.batch(BertBaseTask.TEXTS, BertBaseTask.TOKENS);
        Runnable measured = task.isStep() ? () -> network.fit(batch) : () -> network.output(batch.getFeatures());
        long before = Memory.settled();
        Clock.takeTurns(() -> (Memory.peak() - before) + " " + Memory.peak(), measured);
        System.exit(0);
    }
}
