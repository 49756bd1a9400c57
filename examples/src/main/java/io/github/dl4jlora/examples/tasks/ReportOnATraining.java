package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.report.page.AdapterReport;
import io.github.dl4jlora.report.page.ScoreHistory;
import io.github.dl4jlora.tune.LearningRateSweep;
import io.github.dl4jlora.tune.LearningRates;
import io.github.dl4jlora.tune.LoRAAdvice;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
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
 * Writes a page about a training, one HTML file with pictures: what trained, at which rate, how the loss went, how much each
 * layer has changed, how much of its rank that uses, and what the library advises. Prints what a merge would keep. The page is
 * written by the artifact {@code dl4j-lora-report}; without code, {@code dl4j-lora report base.zip adapter} writes one too.
 */
public class ReportOnATraining {

    private static final Path FOLDER = Path.of("target", "tasks", "ReportOnATraining");
    private static final int SEED = 7;
    private static final int EPOCHS = 10;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<DataSet> turned = digits(true);
        DataSetIterator train = new ExistingDataSetIterator(turned.subList(0, 43));
        DataSetIterator test = new ExistingDataSetIterator(turned.subList(43, 57));
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(digits(false).subList(0, 43)), EPOCHS);
        ModelSerializer.writeModel(base, Files.createDirectories(FOLDER).resolve("base.zip").toFile(), false);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(16).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(1e-3)).seed(SEED).build());

        LearningRates rates = LearningRateSweep.of(tuned).from(1e-4).to(0.1).points(10).steps(20).run(train);
        tuned.setLearningRate(rates.suggested());
        LoRAAdapter fresh = LoRAAdapter.of(tuned);                 // before the training, to see whether A moves
        double before = 100 * tuned.evaluate(test).accuracy();
        CollectScoresIterationListener losses = new CollectScoresIterationListener();
        tuned.setListeners(losses);
        tuned.fit(train, EPOCHS);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        adapter.save(FOLDER.resolve("adapter"));

        double after = 100 * tuned.evaluate(test).accuracy();
        List<LoRAAdvice> advice = LoRAAdvice.about(adapter).base(base).start(fresh)
                .losses(losses.getScoreVsIter().getEffectiveScores()).list();
        String result = String.format("Turned digits: %.1f %% right before, %.1f %% after.", before, after);
        Path page = FOLDER.resolve("report.html");
        new AdapterReport("A network that learns turned digits", base)
                .about(result)
                .results(List.of("", "right", "trained values"), List.of(
                        List.of("base", String.format("%.1f %%", before), "-"),
                        List.of("LoRA", String.format("%.1f %%", after), String.format("%,d", tuned.numParams()))))
                .fact("learning rate", String.format("%.2g, found by a sweep", rates.suggested()))
                .fact("epochs", String.valueOf(EPOCHS))
                .add("LoRA", adapter).scores("LoRA", ScoreHistory.of(losses)).rates("LoRA", rates)
                .write(page);
        System.out.println(result);
        advice.forEach(System.out::println);
        System.out.println(LoRA.merging(tuned).report());
        System.out.println("Look at it: " + page.toAbsolutePath().toUri());
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(ReportOnATraining.class.getResourceAsStream(
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
