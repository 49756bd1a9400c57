package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.SplitTestAndTrain;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/**
 * A network that tells the digits 0 to 5 apart gets a head for four other classes, the digits 6 to 9. The new head trains in
 * full, adapters train below it, and both are in the adapter's folder.
 */
public class GiveANewHead {

    private static final Path FOLDER = Path.of("target", "tasks", "GiveANewHead");
    private static final int SEED = 7;
    private static final int[] OLD_CLASSES = {0, 1, 2, 3, 4, 5};
    private static final int[] NEW_CLASSES = {6, 7, 8, 9};
    private static final int HEAD = 2;                             // index of the output layer
    private static final double TRAINED_ON = 0.75;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        SplitTestAndTrain oldDigits = digits(OLD_CLASSES).splitTestAndTrain(TRAINED_ON);
        SplitTestAndTrain newDigits = digits(NEW_CLASSES).splitTestAndTrain(TRAINED_ON);
        MultiLayerNetwork base = newNetwork();
        base.fit(batches(oldDigits.getTrain()), 10);
        System.out.printf("Digits 0 to 5, by the base: %.1f %% right.%n", percent(base, oldDigits.getTest()));

        MultiLayerNetwork tuned = LoRA.apply(headed(base), LoRAConfig.builder()
                .trainable("out")                                  // without this the random head would stay as it is
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(2e-3)).seed(SEED).build());
        double before = percent(tuned, newDigits.getTest());
        tuned.fit(batches(newDigits.getTrain()), 10);
        System.out.printf("Digits 6 to 9: %.1f %% right before, %.1f %% after.%n", before, percent(tuned, newDigits.getTest()));

        // The head is in the folder whole, so the base needs some head of that size for it: its random weights are replaced.
        LoRAAdapter.of(tuned).save(FOLDER.resolve("adapter"));
        LoRAAdapter adapter = LoRAAdapter.load(FOLDER.resolve("adapter"));
        MultiLayerNetwork again = LoRA.apply(headed(base), adapter);
        INDArray some = newDigits.getTest().getFeatures();
        if (!again.output(some).equals(tuned.output(some))) {
            throw new IllegalStateException("The restored network computes something else than the adapted one");
        }
        System.out.printf("In %s: adapters of %s, and %s whole. The base still reads 0 to 5: %.1f %% right.%n",
                FOLDER.resolve("adapter"), adapter.layers(), adapter.trainedLayers(), percent(base, oldDigits.getTest()));
    }

    private static MultiLayerNetwork headed(MultiLayerNetwork base) {
        return new TransferLearning.Builder(base)
                .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(SEED).build())
                .nOutReplace(HEAD, NEW_CLASSES.length, WeightInit.XAVIER)
                .build();
    }

    private static MultiLayerNetwork newNetwork() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(OLD_CLASSES.length)
                        .activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }

    private static DataSetIterator batches(DataSet data) {
        return new ExistingDataSetIterator(data.batchBy(32));
    }

    private static double percent(MultiLayerNetwork network, DataSet data) {
        return 100 * network.evaluate(batches(data)).accuracy();
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static DataSet digits(int[] classes) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(GiveANewHead.class.getResourceAsStream(
                file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            DataSet digits = new DataSet(lines.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 64)).div(16),
                    FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            digits.filterAndStrip(classes);                        // these digits alone, numbered from 0
            return digits;
        }
    }
}
