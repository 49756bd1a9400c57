package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A child process: prints the median milliseconds of a training step and of a forward pass, the number of values that train, and
 * the process's largest resident size in bytes, -1 if it cannot be measured.
 */
final class LayerChild {

    private LayerChild() {
    }

    public static void main(String[] args) {
        LayerTask task = LayerTask.valueOf(args[0]);
        MultiLayerNetwork network = LayerSide.valueOf(args[1]).network(task);
        DataSet data = task.data();
        double step = StepChild.medianMillis(() -> network.fit(data));
        double output = StepChild.medianMillis(() -> network.output(data.getFeatures()));
        System.out.println(Child.RESULT + step + " " + output + " " + network.params().length() + " "
                + (Memory.isMeasurable() ? Memory.peak() : -1));
        System.exit(0);
    }
}
