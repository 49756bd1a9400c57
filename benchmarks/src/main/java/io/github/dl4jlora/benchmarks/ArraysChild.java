package io.github.dl4jlora.benchmarks;

import com.sun.management.ThreadMXBean;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.management.ManagementFactory;

/**
 * A child process: prints how many arrays a training step makes, views and those in workspaces included, and how many bytes on
 * Java's heap.
 */
final class ArraysChild {

    private static final int WARM_UP = 20;
    private static final int STEPS = 100;

    private ArraysChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[1]);
        MultiLayerNetwork network = Networks.of(Side.valueOf(args[0]), shape);
        DataSet batch = Networks.batch(shape);
        for (int i = 0; i < WARM_UP; i++) {
            network.fit(batch);
        }
        ThreadMXBean thread = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long looking = -number() + number();
        long arrays = number();
        long bytes = thread.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < STEPS; i++) {
            network.fit(batch);
        }
        bytes = thread.getCurrentThreadAllocatedBytes() - bytes;
        arrays = number() - arrays - looking;
        System.out.println(Child.RESULT + (double) arrays / STEPS + " " + bytes / STEPS);
        System.exit(0);
    }

    /** ND4J numbers its arrays. */
    private static long number() {
        return Nd4j.create(DataType.FLOAT, 1).getId();
    }
}
