package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;

/**
 * An LSTM that tells lines of Lewis Carroll's from lines of Shakespeare's learns to do so when each character is replaced by the
 * one 13 places on. Lines differ in length: a batch is as long as its longest line, and a mask says where the others end. Both
 * texts are files to copy along.
 */
public class AdaptAnLstmWithMasks {

    private static final int SEED = 7;
    private static final int BATCH = 64;
    private static final int CHARACTERS = 96;                      // of ASCII, from the space on
    private static final List<String> TEXTS = List.of("alice", "shakespeare");

    /** One line, and the index of its author. */
    private record Line(String text, int author) {
    }

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<Line> lines = lines();
        List<DataSet> asWritten = batches(lines, false);
        List<DataSet> inCipher = batches(lines, true);
        int border = asWritten.size() * 4 / 5;
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(1e-2)).list()
                .layer(new LSTM.Builder().name("lstm").nIn(CHARACTERS).nOut(64).activation(Activation.TANH).build())
                .layer(new GlobalPoolingLayer.Builder(PoolingType.AVG).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).nIn(64).nOut(2).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(asWritten.subList(0, border)), 6);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder()
                .targets(LayerType.RECURRENT)                      // W and RW; targets("lstm/W") would adapt one of them
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).updater(new Adam(1e-2)).seed(SEED).build());
        tuned.fit(new ExistingDataSetIterator(inCipher.subList(0, border)), 6);
        List<DataSet> test = inCipher.subList(border, inCipher.size());
        System.out.printf("Lines in cipher: %.1f %% right before, %.1f %% after (as written: %.1f %%).%n", percent(base, test),
                percent(tuned, test), percent(base, asWritten.subList(border, asWritten.size())));

        // What lies behind the end of a line does not count: alone it gets the answer that it got in its batch.
        DataSet batch = inCipher.get(border);
        INDArray together = tuned.output(batch.getFeatures(), false, batch.getFeaturesMaskArray(), null);
        INDArray alone = tuned.output(batch(lines.subList(border * BATCH, border * BATCH + 1), true).getFeatures());
        if (!alone.getRow(0).equalsWithEps(together.getRow(0), 1e-4)) {
            throw new IllegalStateException("The mask is not obeyed: " + alone + " alone, " + together.getRow(0) + " in a batch");
        }
        System.out.printf("With and without padding, %.3f Shakespeare: %s%n", alone.getDouble(0, 1), lines.get(border * BATCH));
    }

    private static double percent(MultiLayerNetwork network, List<DataSet> data) {
        return 100 * network.evaluate(new ExistingDataSetIterator(data)).accuracy();       // hands the masks on
    }

    private static List<Line> lines() throws Exception {
        List<Line> lines = new ArrayList<>();
        for (String text : TEXTS) {
            String file = "/io/github/dl4jlora/examples/" + text + ".txt.gz";
            try (InputStream in = new GZIPInputStream(Objects.requireNonNull(AdaptAnLstmWithMasks.class.getResourceAsStream(
                    file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
                new String(in.readAllBytes(), StandardCharsets.US_ASCII).lines().filter(line -> line.matches(".{20,48}"))
                        .limit(1000).forEach(line -> lines.add(new Line(line, TEXTS.indexOf(text))));
            }
        }
        Collections.shuffle(lines, new Random(SEED));
        return lines;
    }

    private static List<DataSet> batches(List<Line> lines, boolean enciphered) {
        return IntStream.range(0, lines.size() / BATCH)
                .mapToObj(i -> batch(lines.subList(i * BATCH, (i + 1) * BATCH), enciphered)).toList();
    }

    /** Features [lines, characters, steps], labels [lines, authors], mask of the features [lines, steps]: 1 up to the end. */
    private static DataSet batch(List<Line> lines, boolean enciphered) {
        int steps = lines.stream().mapToInt(line -> line.text().length()).max().orElseThrow();
        INDArray features = Nd4j.zeros(DataType.FLOAT, lines.size(), CHARACTERS, steps);
        INDArray labels = Nd4j.zeros(DataType.FLOAT, lines.size(), TEXTS.size());
        INDArray mask = Nd4j.zeros(DataType.FLOAT, lines.size(), steps);
        for (int i = 0; i < lines.size(); i++) {
            String text = lines.get(i).text();
            for (int step = 0; step < text.length(); step++) {
                features.putScalar(new int[] {i, (text.charAt(step) - ' ' + (enciphered ? 13 : 0)) % CHARACTERS, step}, 1);
                mask.putScalar(i, step, 1);
            }
            labels.putScalar(i, lines.get(i).author(), 1);
        }
        return new DataSet(features, labels, mask, null);
    }
}
