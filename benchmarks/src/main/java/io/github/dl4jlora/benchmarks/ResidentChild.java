package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A child process: prints by how many bytes its resident size has grown over a long training, from after the base's first
 * forward pass, Java's heap included.
 */
final class ResidentChild {

    static final int STEPS = 6_000;

    private ResidentChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[1]);
        DataSet batch = Networks.batch(shape);
        Networks.base(shape, false).output(batch.getFeatures());
        long before = Memory.resident();
        MultiLayerNetwork network = Networks.of(Side.valueOf(args[0]), shape);
        for (int i = 0; i < STEPS; i++) {
            network.fit(batch);
        }
        System.out.println(Child.RESULT + (Memory.resident() - before));
        System.exit(0);
    }
}
