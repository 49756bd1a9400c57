package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * One base and three adapters, for digits turned by one, two and three quarters, answer any number of threads: a batch may mix
 * adapters, and each caller names the one it wants.
 */
public class ServeManyAdapters {

    private static final Path FOLDER = Path.of("target", "tasks", "ServeManyAdapters");
    private static final int SEED = 7;
    /** For digits turned by none, one, two and three quarters. */
    private static final List<String> NAMES = List.of(AdapterBank.BASE, "turned 90", "turned 180", "turned 270");

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(digits(0).subList(0, 43)), 10);
        for (int turns = 1; turns < NAMES.size(); turns++) {
            MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                    .updater(new Adam(3e-3)).seed(SEED).build());
            tuned.fit(new ExistingDataSetIterator(digits(turns).subList(0, 43)), 10);
            LoRAAdapter.of(tuned).save(FOLDER.resolve(NAMES.get(turns)));
        }

        try (AdapterBank bank = new AdapterBank(base)) {
            List<DataSet> parts = new ArrayList<>();
            List<String> wanted = new ArrayList<>();
            for (int turns = 0; turns < NAMES.size(); turns++) {
                if (turns > 0) {
                    bank.add(NAMES.get(turns), LoRAAdapter.load(FOLDER.resolve(NAMES.get(turns))));
                }
                parts.add(DataSet.merge(digits(turns).subList(43, 57)));
                wanted.addAll(Collections.nCopies(parts.get(turns).numExamples(), NAMES.get(turns)));
            }

            // A mixed batch takes one pass: each of its images has its own adapter, or none.
            DataSet mixed = DataSet.merge(parts);
            INDArray ofBase = bank.output(AdapterBank.BASE, mixed.getFeatures());
            INDArray ofEach = bank.output(wanted.toArray(String[]::new), mixed.getFeatures());
            System.out.printf("%,d digits in a batch: %.1f %% right before (by the base), %.1f %% after (each by its adapter).%n",
                    wanted.size(), percent(mixed.getLabels(), ofBase), percent(mixed.getLabels(), ofEach));

            // Many callers at a time: a network of DL4J's serves one thread, a bank any number. join() throws what one threw.
            List<CompletableFuture<Double>> callers = IntStream.range(0, NAMES.size()).mapToObj(turns ->
                    CompletableFuture.supplyAsync(() -> percent(parts.get(turns).getLabels(),
                            bank.output(NAMES.get(turns), parts.get(turns).getFeatures())))).toList();
            for (int turns = 0; turns < NAMES.size(); turns++) {
                System.out.printf("A thread that asks for \"%s\": %.1f %% right.%n", NAMES.get(turns), callers.get(turns).join());
            }
        }
    }

    private static double percent(INDArray labels, INDArray answers) {
        Evaluation evaluation = new Evaluation();
        evaluation.eval(labels, answers);
        return 100 * evaluation.accuracy();
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(int turns) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(ServeManyAdapters.class.getResourceAsStream(
                file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = Nd4j.create(DataType.FLOAT, lines.rows(), 64);
            for (int i = 0; i < 64; i++) {
                pixels.putColumn(i, lines.getColumn(source(i, turns)).div(16));
            }
            DataSet digits = new DataSet(pixels, FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            return digits.batchBy(32);
        }
    }

    /** Where a pixel comes from: at each turn the left column becomes the top row. */
    private static int source(int pixel, int turns) {
        return turns == 0 ? pixel : source((7 - pixel % 8) * 8 + pixel / 8, turns - 1);
    }
}
