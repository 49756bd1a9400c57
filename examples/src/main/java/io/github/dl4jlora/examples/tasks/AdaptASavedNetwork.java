package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.tune.LearningRateSweep;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.earlystopping.EarlyStoppingConfiguration;
import org.deeplearning4j.earlystopping.EarlyStoppingResult;
import org.deeplearning4j.earlystopping.saver.InMemoryModelSaver;
import org.deeplearning4j.earlystopping.scorecalc.DataSetLossCalculator;
import org.deeplearning4j.earlystopping.termination.MaxEpochsTerminationCondition;
import org.deeplearning4j.earlystopping.termination.ScoreImprovementEpochTerminationCondition;
import org.deeplearning4j.earlystopping.trainer.EarlyStoppingTrainer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/**
 * A saved network that reads upright digits learns to read digits that lie on their side, and becomes a stock network again. A
 * ComputationGraph goes the same way, with LoRA.restoreComputationGraph and EarlyStoppingGraphTrainer.
 */
public class AdaptASavedNetwork {

    private static final Path FOLDER = Path.of("target", "tasks", "AdaptASavedNetwork");
    private static final int SEED = 7;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<DataSet> turned = digits(true);                       // your data: to train on, to stop by, to test on
        DataSetIterator train = new ExistingDataSetIterator(turned.subList(0, 36));
        DataSetIterator heldOut = new ExistingDataSetIterator(turned.subList(36, 46));
        DataSetIterator test = new ExistingDataSetIterator(turned.subList(46, 57));
        Path saved = Files.createDirectories(FOLDER).resolve("base.zip");
        saveABase(digits(false).subList(0, 36), saved);            // delete this line, and let saved be your file

        MultiLayerNetwork base = LoRA.restoreMultiLayerNetwork(saved, false); // its normalizer: LoRA.restoreNormalizer
        LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).seed(SEED)
                .updater(new Adam(1e-3)).build();
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        System.out.println(LoRA.summary(tuned));                   // what trains, by layer
        double rate = LearningRateSweep.of(tuned).from(1e-4).to(0.1).points(10).steps(20).run(train).suggested();
        tuned.setLearningRate(rate);

        EarlyStoppingResult<MultiLayerNetwork> stopped = new EarlyStoppingTrainer(
                new EarlyStoppingConfiguration.Builder<MultiLayerNetwork>().modelSaver(new InMemoryModelSaver<>())
                        .scoreCalculator(new DataSetLossCalculator(heldOut, true))
                        .epochTerminationConditions(new MaxEpochsTerminationCondition(20),
                                new ScoreImprovementEpochTerminationCondition(2)).build(), tuned, train).fit();
        MultiLayerNetwork best = stopped.getBestModel();
        LoRAAdapter.of(best).save(FOLDER.resolve("adapter"));      // a small folder: what was learned, and nothing else
        System.out.printf("The sweep suggests a rate of %.1e. Epoch %d of %d was the best.%n", rate,
                stopped.getBestModelEpoch() + 1, stopped.getTotalEpochs());
        System.out.printf("Turned digits: %.1f %% right before, %.1f %% after.%n", percent(base, test), percent(best, test));

        // Another day, another JVM: base and adapter come from files, and Adam's state begins anew. (A checkpoint keeps it.)
        LoRAAdapter learned = LoRAAdapter.load(FOLDER.resolve("adapter"));
        MultiLayerNetwork resumed = LoRA.apply(LoRA.restoreMultiLayerNetwork(saved, false), learned,
                learned.config().toBuilder().updater(new Adam(rate / 3)).build());
        resumed.fit(train, 3);
        Path merged = FOLDER.resolve("merged.zip");                // DL4J's own classes only
        ModelSerializer.writeModel(LoRA.merge(resumed), merged.toFile(), false);
        MultiLayerNetwork stock = ModelSerializer.restoreMultiLayerNetwork(merged.toFile());
        System.out.printf("After three more epochs %.1f %%; merged, in %s, %.1f %%.%n", percent(resumed, test), merged,
                percent(stock, test));
    }

    private static double percent(MultiLayerNetwork network, DataSetIterator data) {
        return 100 * network.evaluate(data).accuracy();
    }

    private static void saveABase(List<DataSet> upright, Path file) throws Exception {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(upright), 10);
        ModelSerializer.writeModel(base, file.toFile(), true);
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(AdaptASavedNetwork.class.getResourceAsStream(
                file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = Nd4j.create(DataType.FLOAT, lines.rows(), 64);
            for (int i = 0; i < 64; i++) {                         // turned, the left column becomes the top row
                pixels.putColumn(i, lines.getColumn(turned ? (7 - i % 8) * 8 + i / 8 : i).div(16));
            }
            DataSet digits = new DataSet(pixels, FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            return digits.batchBy(32);
        }
    }
}
