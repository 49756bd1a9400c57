package io.github.dl4jlora.benchmarks;

import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/** A child process: times the steps of one side on one shape and prints the median in milliseconds. */
final class StepChild {

    private static final long WARM_UP_NANOS = 1_500_000_000L;
    private static final long MEASURE_NANOS = 3_000_000_000L;
    private static final int FEWEST_STEPS = 15;
    private static final int MOST_STEPS = 5_000;

    private StepChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[1]);
        Nd4j.getRandom().setSeed(3);
        System.out.println(Child.RESULT + medianMillis(step(Side.valueOf(args[0]), shape)));
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

    static double medianMillis(Runnable step) {
        long begin = System.nanoTime();
        for (int i = 0; i < FEWEST_STEPS || System.nanoTime() - begin < WARM_UP_NANOS; i++) {
            step.run();
        }
        double[] millis = new double[MOST_STEPS];
        int count = 0;
        begin = System.nanoTime();
        while (count < FEWEST_STEPS || count < MOST_STEPS && System.nanoTime() - begin < MEASURE_NANOS) {
            long from = System.nanoTime();
            step.run();
            millis[count++] = (System.nanoTime() - from) / 1e6;
        }
        return median(Arrays.copyOf(millis, count));
    }

    static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
