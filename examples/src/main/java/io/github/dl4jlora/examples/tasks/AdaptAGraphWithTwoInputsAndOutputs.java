package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/**
 * A graph that sees the upper and the lower half of a digit, by one input each, and says which digit it is and whether that is
 * even, by one output each, learns to do so with digits that lie on their side.
 */
public class AdaptAGraphWithTwoInputsAndOutputs {

    private static final int SEED = 7;
    private static final int HALF = 32;                            // pixels of half an image
    private static final int EPOCHS = 10;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<MultiDataSet> upright = digits(false);
        List<MultiDataSet> turned = digits(true);
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(SEED).updater(new Adam(3e-3))
                .activation(Activation.RELU).graphBuilder()
                .addInputs("upper half", "lower half")
                .addLayer("top", new DenseLayer.Builder().nIn(HALF).nOut(64).build(), "upper half")
                .addLayer("bottom", new DenseLayer.Builder().nIn(HALF).nOut(64).build(), "lower half")
                .addVertex("both", new MergeVertex(), "top", "bottom")
                .addLayer("joined", new DenseLayer.Builder().nIn(128).nOut(64).build(), "both")
                .addLayer("digit", head(10), "joined")
                .addLayer("even", head(2), "joined")
                .setOutputs("digit", "even")
                .build());
        base.init();
        fit(base, upright.subList(0, 43));

        // Patterns are regular expressions for names: both towers and the layer that joins them. The head "even" trains in full
        // beside the adapters, the head "digit" stays frozen.
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder()
                .targets("top", "bottom", "joined").trainable("even")
                .override("joined", layer -> layer.rank(16))
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(3e-3)).seed(SEED).build());
        System.out.println(LoRA.summary(tuned));
        fit(tuned, turned.subList(0, 43));
        ComputationGraph merged = LoRA.merge(tuned);               // DL4J's own classes
        List<MultiDataSet> test = turned.subList(43, 57);
        INDArray[] some = test.get(0).getFeatures();
        for (int output = 0; output < 2; output++) {
            System.out.printf("Output \"%s\" of turned digits: %.1f %% right before, %.1f %% after.%n",
                    base.getConfiguration().getNetworkOutputs().get(output), percent(base, test, output),
                    percent(tuned, test, output));
            if (!merged.output(some)[output].equalsWithEps(tuned.output(some)[output], 1e-4)) {
                throw new IllegalStateException("The merged graph computes something else than the adapted one");
            }
        }
    }

    private static OutputLayer head(int classes) {
        return new OutputLayer.Builder(LossFunction.MCXENT).nIn(64).nOut(classes).activation(Activation.SOFTMAX).build();
    }

    private static void fit(ComputationGraph graph, List<MultiDataSet> batches) {
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            batches.forEach(graph::fit);
        }
    }

    private static double percent(ComputationGraph graph, List<MultiDataSet> batches, int output) {
        Evaluation evaluation = new Evaluation();
        batches.forEach(batch -> evaluation.eval(batch.getLabels(output), graph.output(batch.getFeatures())[output]));
        return 100 * evaluation.accuracy();
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<MultiDataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(AdaptAGraphWithTwoInputsAndOutputs.class
                .getResourceAsStream(file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = Nd4j.create(DataType.FLOAT, lines.rows(), 64);
            for (int i = 0; i < 64; i++) {                         // turned, the left column becomes the top row
                pixels.putColumn(i, lines.getColumn(turned ? (7 - i % 8) * 8 + i / 8 : i).div(16));
            }
            DataSet digits = new DataSet(pixels, FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            return digits.batchBy(32).stream().map(AdaptAGraphWithTwoInputsAndOutputs::halves).toList();
        }
    }

    private static MultiDataSet halves(DataSet digits) {
        INDArray pixels = digits.getFeatures();
        int[] odd = Arrays.stream(digits.getLabels().argMax(1).toIntVector()).map(digit -> digit % 2).toArray();
        return new MultiDataSet(new INDArray[] {pixels.get(NDArrayIndex.all(), NDArrayIndex.interval(0, HALF)).dup(),
            pixels.get(NDArrayIndex.all(), NDArrayIndex.interval(HALF, 64)).dup()},
                new INDArray[] {digits.getLabels(), FeatureUtil.toOutcomeMatrix(odd, 2)});
    }
}
