package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A child process that takes turns: times a training step and a forward pass. It tells the number of values that train, too, and
 * the process's largest resident size in bytes, -1 if it cannot be measured.
 */
final class LayerChild {

    private LayerChild() {
    }

    public static void main(String[] args) {
        LayerTask task = LayerTask.valueOf(args[0]);
        MultiLayerNetwork network = LayerSide.valueOf(args[1]).network(task);
        DataSet data = task.data();
        Clock.takeTurns(() -> network.params().length() + " " + (Memory.isMeasurable() ? Memory.peak() : -1),
                () -> network.fit(data), () -> network.output(data.getFeatures()));
        System.exit(0);
    }
}
