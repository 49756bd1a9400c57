package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** A child process: prints the median milliseconds of {@code output} for the base, the
 * adapted, the merged and the frozen network. */
final class InferenceChild {

    private static final int ROUNDS = 200;

    private InferenceChild() {
    }

    public static void main(String[] args) {
        Shape shape = Shape.decode(args[0]);
        MultiLayerNetwork base = Networks.base(shape, false);
        MultiLayerNetwork adapted = LoRA.apply(base, Networks.config(shape).build());
        List<MultiLayerNetwork> networks = List.of(base, adapted, LoRA.merge(adapted), LoRA.freeze(base));
        INDArray input = Networks.batch(shape).getFeatures();
        double[][] millis = new double[networks.size()][ROUNDS];
        for (int round = -ROUNDS / 4; round < ROUNDS; round++) {
            for (int i = 0; i < networks.size(); i++) {
                long begin = System.nanoTime();
                networks.get(i).output(input);
                if (round >= 0) {
                    millis[i][round] = (System.nanoTime() - begin) / 1e6;
                }
            }
        }
        System.out.println(Child.RESULT + Arrays.stream(millis).map(Clock::median).map(String::valueOf)
                .collect(Collectors.joining(" ")));
        System.exit(0);
    }
}
