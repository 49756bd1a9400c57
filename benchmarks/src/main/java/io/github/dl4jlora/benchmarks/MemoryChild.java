package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;

/**
 * A child process: prints the memory that training takes on top of the loaded base, peak and steady, and how long
 * making the adapted network took.
 */
final class MemoryChild {

    private static final int STEPS = 6;

    private MemoryChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[1]);
        MultiLayerNetwork base = Networks.base(shape, false);
        DataSet batch = Networks.batch(shape);
        base.output(batch.getFeatures());
        System.gc();
        Memory.resetPeak();
        long loaded = Memory.resident();
        long begin = System.nanoTime();
        MultiLayerNetwork trained = Side.valueOf(args[0]) == Side.LORA ? LoRA.apply(base, Networks.config(shape).build()) : base;
        double seconds = (System.nanoTime() - begin) / 1e9;
        for (int i = 0; i < STEPS; i++) {
            trained.fit(batch);
        }
        System.out.println(Child.RESULT + (Memory.peak() - loaded) + " " + (Memory.resident() - loaded) + " " + seconds);
        System.exit(0);
    }
}
