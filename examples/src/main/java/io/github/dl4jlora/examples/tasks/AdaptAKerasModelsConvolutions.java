package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.modelimport.keras.KerasModelImport;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/**
 * A model from a Keras file, which reads dark digits on clean paper, learns to read light digits on a dirty board by adapters on
 * its convolutions. Needs DL4J's {@code deeplearning4j-modelimport}, and two files from this module's resources.
 */
public class AdaptAKerasModelsConvolutions {

    private static final Path FOLDER = Path.of("target", "tasks", "AdaptAKerasModelsConvolutions");
    private static final int SEED = 7;
    private static final int EPOCHS = 12;
    private static final double DIRT = 0.2;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        Path file = Files.createDirectories(FOLDER).resolve("digits.h5");
        try (InputStream in = resource("/io/github/dl4jlora/examples/tasks/digits.h5")) {
            Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
        }
        List<DataSet> board = digits(true);
        DataSetIterator train = new ExistingDataSetIterator(board.subList(0, 43));
        DataSetIterator test = new ExistingDataSetIterator(board.subList(43, 57));
        DataSetIterator paper = new ExistingDataSetIterator(digits(false).subList(43, 57));

        // A functional model; importKerasSequentialModelAndWeights gives a MultiLayerNetwork.
        ComputationGraph base = KerasModelImport.importKerasModelAndWeights(file.toString());
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder()
                .targets(LayerType.CONVOLUTION)                    // without a target: the dense layers
                .rank(8).alpha(32).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(5e-3)).seed(SEED).build());
        System.out.println(LoRA.summary(tuned));
        tuned.fit(train, EPOCHS);
        System.out.printf("Digits on the board: %.1f %% right before, %.1f %% after.%n", percent(base, test),
                percent(tuned, test));

        LoRAAdapter.of(tuned).save(FOLDER.resolve("adapter"));     // goes onto the same Keras file again:
        ComputationGraph again = LoRA.apply(KerasModelImport.importKerasModelAndWeights(file.toString()),
                LoRAAdapter.load(FOLDER.resolve("adapter")));
        INDArray some = board.get(43).getFeatures();
        if (!again.outputSingle(some).equals(tuned.outputSingle(some))) {
            throw new IllegalStateException("The restored network computes something else than the adapted one");
        }
        try (LoRA.Scope off = LoRA.disabled(again)) {
            System.out.printf("Digits on paper, with the adapter switched off: %.1f %% right, as ever.%n", percent(again, paper));
        }
    }

    private static double percent(ComputationGraph network, DataSetIterator data) {
        return 100 * network.evaluate(data).accuracy();
    }

    private static InputStream resource(String file) {
        return Objects.requireNonNull(AdaptAKerasModelsConvolutions.class.getResourceAsStream(file),
                "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours");
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean onBoard) throws Exception {
        try (InputStream in = new GZIPInputStream(resource("/io/github/dl4jlora/examples/digits.csv.gz"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = lines.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 64)).div(16);
            if (onBoard) {
                Nd4j.getRandom().setSeed(SEED);
                pixels = Nd4j.randn(pixels.shape()).mul(DIRT).sub(pixels);
            }
            // Keras has the channels last: [images, height, width, channels]. The model has seen the first 43 batches on paper.
            return new DataSet(pixels.reshape(pixels.rows(), 8, 8, 1),
                    FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10)).batchBy(32);
        }
    }
}
