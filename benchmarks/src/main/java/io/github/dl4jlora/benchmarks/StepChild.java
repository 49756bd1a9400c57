package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

/** A child process that takes turns: times the steps of one side on one shape. */
final class StepChild {

    private StepChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[1]);
        Nd4j.getRandom().setSeed(3);
        Clock.takeTurns(step(Side.valueOf(args[0]), shape));
        System.exit(0);
    }

    private static Runnable step(Side side, Shape shape) {
        if (side == Side.FLOOR) {
            return new Floor(shape)::step;
        }
        MultiLayerNetwork network = Networks.of(side, shape);
        DataSet batch = Networks.batch(shape);
        return () -> network.fit(batch);
    }
}
