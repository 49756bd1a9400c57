package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A child process: a training step or forward pass of BERT-base's architecture with random weights. Prints the median in
 * milliseconds, the bytes taken beyond what was resident before the first, and the largest resident size.
 */
final class BertBaseChild {

    static final TransformerShape SHAPE = TransformerShape.bert(30522, 512, 768, 3072, 12, 12);

    private static final int WARM_UP = 2;
    private static final int MEASURED = 6;

    private BertBaseChild() {
    }

    public static void main(String[] args) throws InterruptedException {
        BertBaseTask task = BertBaseTask.valueOf(args[0]);
        ComputationGraph network = EncoderChild.adapted(SHAPE, BertBaseTask.RANK, task.scheme());
        DataSet batch = EncoderChild.batch(BertBaseTask.TEXTS, BertBaseTask.TOKENS);
        Runnable measured = task.isStep() ? () -> network.fit(batch) : () -> network.output(batch.getFeatures());
        long before = Memory.settled();
        double[] millis = new double[MEASURED];
        for (int i = -WARM_UP; i < MEASURED; i++) {
            long from = System.nanoTime();
            measured.run();
            if (i >= 0) {
                millis[i] = (System.nanoTime() - from) / 1e6;
            }
        }
        System.out.println(Child.RESULT + Clock.median(millis) + " " + (Memory.peak() - before) + " " + Memory.peak());
        System.exit(0);
    }
}
