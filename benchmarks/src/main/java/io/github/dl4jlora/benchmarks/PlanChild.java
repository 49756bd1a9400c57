package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.report.LoRAPlan;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

/**
 * A child process: prints the bytes of a plan, and the bytes of the native heap that training takes, counted from before the base
 * is made: the peak of a step after DL4J's workspaces have learnt their sizes.
 */
final class PlanChild {

    private static final int WARM_UP = 10;
    private static final int PEAKS = 5;

    private PlanChild() {
    }

    public static void main(String[] args) throws InterruptedException {
        PlanTask task = PlanTask.valueOf(args[0]);
        boolean adapts = Side.valueOf(args[1]) == Side.LORA;
        DataSet data = task.data();
        trainSomethingElse();
        long before = NativeHeap.atRest();
        MultiLayerNetwork base = task.base();
        LoRAPlan plan = LoRA.plan(base, task.config(), data.numExamples(), task.inputs());
        MultiLayerNetwork network = adapts ? LoRA.apply(base, task.config()) : base;
        for (int i = 0; i < WARM_UP; i++) {
            network.fit(data);
        }
        double[] peaks = new double[PEAKS];
        for (int i = 0; i < PEAKS; i++) {
            NativeHeap.atRest();
            peaks[i] = NativeHeap.peakOf(() -> network.fit(data)) - before;
        }
        Arrays.sort(peaks);
        System.out.println(Child.RESULT + (adapts ? plan.adapted() : plan.full()).total() + " " + (long) Clock.median(peaks));
        System.exit(0);
    }

    /** Warms up, so that what ND4J and DL4J allocate once does not count. */
    private static void trainSomethingElse() {
        Shape small = Shape.of(16);
        Networks.of(Side.DL4J_FULL, small).fit(Networks.batch(small));
        Networks.of(Side.LORA, small).fit(Networks.batch(small));
        Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
    }
}
