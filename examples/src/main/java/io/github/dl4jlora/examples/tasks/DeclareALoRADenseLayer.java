package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
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
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/**
 * Declares LoRA layers where dense layers would stand, in the configuration of a MultiLayerNetwork and in that of a
 * ComputationGraph. Both get the weights of a network that reads upright digits, and learn to read digits that lie on their side.
 */
public class DeclareALoRADenseLayer {

    private static final int SEED = 7;
    private static final int WIDTH = 128;
    private static final int EPOCHS = 8;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<DataSet> turned = digits(true);
        DataSetIterator train = new ExistingDataSetIterator(turned.subList(0, 43));
        DataSetIterator test = new ExistingDataSetIterator(turned.subList(43, 57));
        MultiLayerNetwork stock = new MultiLayerNetwork(configuration(
                new DenseLayer.Builder().nIn(64).nOut(WIDTH).build(), new DenseLayer.Builder().nIn(WIDTH).nOut(WIDTH).build()));
        stock.init();
        stock.fit(new ExistingDataSetIterator(digits(false).subList(0, 43)), EPOCHS);

        MultiLayerNetwork network = new MultiLayerNetwork(configuration(lora(64), lora(WIDTH)));
        network.init();
        // W and b of a declared layer are frozen, so they need values from somewhere: here from the stock network.
        stock.paramTable().forEach((key, values) -> network.getParam(key).assign(values));
        double before = 100 * network.evaluate(test).accuracy();
        network.fit(train, EPOCHS);
        System.out.printf("Turned digits: %.1f %% right before, %.1f %% after.%n", before,
                100 * network.evaluate(test).accuracy());

        ComputationGraph graph = new ComputationGraph(builder().graphBuilder().addInputs("pixels")
                .addLayer("fc1", lora(64), "pixels")
                .addLayer("fc2", lora(WIDTH), "fc1")
                .addLayer("out", output(), "fc2").setOutputs("out").build());
        graph.init();
        for (String key : List.of("W", "b")) {
            graph.getParam("fc1_" + key).assign(stock.getParam("0_" + key));
            graph.getParam("fc2_" + key).assign(stock.getParam("1_" + key));
            graph.getParam("out_" + key).assign(stock.getParam("2_" + key));
        }
        before = 100 * graph.evaluate(test).accuracy();
        graph.fit(train, EPOCHS);
        System.out.printf("The same in a graph: %.1f %% right before, %.1f %% after.%n", before,
                100 * graph.evaluate(test).accuracy());

        if (!network.getParam("0_W").equals(stock.getParam("0_W")) || !graph.getParam("fc2_W").equals(stock.getParam("1_W"))) {
            throw new IllegalStateException("A frozen weight has changed");
        }
        MultiLayerNetwork merged = LoRA.merge(network);            // dense layers of DL4J again, with W + s·A·B
        INDArray some = turned.get(43).getFeatures();
        if (!merged.output(some).equalsWithEps(network.output(some), 1e-4)) {
            throw new IllegalStateException("The merged network computes something else than the adapted one");
        }
        System.out.printf("W and b stayed as they were: %,d of %,d values have trained.%n",
                LoRA.summary(network).trainableParams(), LoRA.summary(network).totalParams());
        System.out.printf("Merged, the first layer is a %s.%n", merged.getLayer(0).conf().getLayer().getClass().getSimpleName());
    }

    private static LoRADenseLayer lora(int inputs) {
        return new LoRADenseLayer.Builder().nIn(inputs).nOut(WIDTH)
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).build();
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT).nIn(WIDTH).nOut(10).activation(Activation.SOFTMAX).build();
    }

    private static NeuralNetConfiguration.Builder builder() {
        return new NeuralNetConfiguration.Builder().seed(SEED).updater(new Adam(2e-3)).activation(Activation.RELU);
    }

    private static MultiLayerConfiguration configuration(Layer first, Layer second) {
        return builder().list().layer(first).layer(second).layer(output()).build();
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(DeclareALoRADenseLayer.class.getResourceAsStream(
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
