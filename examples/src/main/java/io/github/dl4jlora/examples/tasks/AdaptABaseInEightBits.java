package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
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
 * Adapts a saved network whose weights are kept in eight bits: first in memory, read layer by layer so that the network is never
 * there in full precision, then in a mapped file, which all processes of a machine share.
 */
public class AdaptABaseInEightBits {

    private static final Path FOLDER = Path.of("target", "tasks", "AdaptABaseInEightBits");
    private static final int SEED = 7;
    private static final int WIDTH = 256;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<DataSet> turned = digits(true);
        DataSetIterator train = new ExistingDataSetIterator(turned.subList(0, 43));
        DataSetIterator test = new ExistingDataSetIterator(turned.subList(43, 57));
        Path saved = Files.createDirectories(FOLDER).resolve("base.zip");
        MultiLayerNetwork base = saveABase(digits(false).subList(0, 43), saved);

        LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(2e-3)).seed(SEED).build();
        MultiLayerNetwork full = LoRA.apply(base, config);
        full.fit(train, 8);

        MultiLayerNetwork small = (MultiLayerNetwork) LoRA.loadQuantized(saved,
                config.toBuilder().quantize(Quantization.INT8).build());
        double before = percent(small, test);
        small.fit(train, 8);
        System.out.printf("Frozen weights: %,d bytes in full, %,d in eight bits.%n", LoRA.summary(full).frozenBytes(),
                LoRA.summary(small).frozenBytes());
        System.out.printf("Turned digits on the full base: %.1f %% right before, %.1f %% after.%n", percent(base, test),
                percent(full, test));
        System.out.printf("Turned digits in eight bits: %.1f %% right before, %.1f %% after.%n", before, percent(small, test));

        // An adapter belongs to the original weights, however they are kept: what was learned in memory fits the file.
        Path file = FOLDER.resolve("base.int8");
        LoRA.writeBase(base, file, Quantization.INT8);
        MultiLayerNetwork mapped = LoRA.apply(LoRA.openMultiLayerNetworkBase(file), LoRAAdapter.of(small));
        INDArray some = turned.get(43).getFeatures();
        if (!mapped.output(some).equalsWithEps(small.output(some), 1e-4)) {
            throw new IllegalStateException("The network on the mapped file computes something else than the one in memory");
        }
        System.out.printf("The same adapter on %s of %,d bytes (%s: %,d bytes): %.1f %%.%n", file, Files.size(file),
                saved.getFileName(), Files.size(saved), percent(mapped, test));
    }

    private static double percent(MultiLayerNetwork network, DataSetIterator data) {
        return 100 * network.evaluate(data).accuracy();
    }

    private static MultiLayerNetwork saveABase(List<DataSet> upright, Path file) throws Exception {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(1e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(upright), 5);
        ModelSerializer.writeModel(base, file.toFile(), false);
        return base;
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(AdaptABaseInEightBits.class.getResourceAsStream(
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
