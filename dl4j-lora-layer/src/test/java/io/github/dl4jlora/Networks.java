package io.github.dl4jlora;

import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.common.util.ArrayUtil;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.Map;
import java.util.Random;
import java.util.stream.DoubleStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Small networks, data and adapters for the tests, the same in every run. */
public final class Networks {

    public static final int IN = 6;
    public static final int HIDDEN = 5;
    public static final int OUT = 3;

    private Networks() {
    }

    /** A network of this configuration, initialised. */
    public static MultiLayerNetwork of(MultiLayerConfiguration conf) {
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init();
        return network;
    }

    /** A graph of this configuration, initialised. */
    public static ComputationGraph of(ComputationGraphConfiguration conf) {
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init();
        return graph;
    }

    /** fc1 → fc2 → out, trained a little. */
    public static MultiLayerNetwork trainedLayers(DataType type, IUpdater updater) {
        MultiLayerNetwork network = of(layersConf(type, updater));
        for (int i = 0; i < 3; i++) {
            network.fit(data(type, 8, i));
        }
        return network;
    }

    public static MultiLayerNetwork trainedLayers() {
        return trainedLayers(DataType.FLOAT, new Adam(0.01));
    }

    public static MultiLayerConfiguration layersConf(DataType type, IUpdater updater) {
        return new NeuralNetConfiguration.Builder().seed(12).dataType(type).updater(updater).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(IN).nOut(HIDDEN).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(HIDDEN).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT).name("out").nOut(OUT)
                        .activation(Activation.SOFTMAX).build())
                .build();
    }

    /** A network with a copy of the configuration, trained by one step. */
    public static MultiLayerNetwork trained(MultiLayerConfiguration conf, INDArray features, INDArray labels) {
        MultiLayerNetwork network = of(conf.clone());
        network.fit(features, labels);
        return network;
    }

    /** in → fc1 → fc2 → out as a graph, trained a little. */
    public static ComputationGraph trainedGraph(DataType type, IUpdater updater) {
        ComputationGraph graph = of(new NeuralNetConfiguration.Builder().seed(12).dataType(type).updater(updater)
                .activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nIn(IN).nOut(HIDDEN).build(), "in")
                .addLayer("fc2", new DenseLayer.Builder().nIn(HIDDEN).nOut(HIDDEN).build(), "fc1")
                .addLayer("out", new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT).nIn(HIDDEN).nOut(OUT)
                        .activation(Activation.SOFTMAX).build(), "fc2")
                .setOutputs("out").build());
        for (int i = 0; i < 3; i++) {
            graph.fit(data(type, 8, i));
        }
        return graph;
    }

    public static ComputationGraph trainedGraph() {
        return trainedGraph(DataType.FLOAT, new Adam(0.01));
    }

    public static ComputationGraph trainedGraph(DataType type) {
        return trainedGraph(type, new Sgd(0.1));
    }

    /** A classification batch. */
    public static DataSet data(DataType type, int rows, long seed) {
        Random random = new Random(seed);
        INDArray labels = Nd4j.zeros(type, rows, OUT);
        for (int i = 0; i < rows; i++) {
            labels.putScalar(i, random.nextInt(OUT), 1);
        }
        return new DataSet(random(type, seed, rows, IN), labels);
    }

    /** Values of N(0, 1), from Java's generator, so that ND4J's stays where it is. */
    public static INDArray random(DataType type, long seed, long... shape) {
        Random random = new Random(seed);
        double[] values = DoubleStream.generate(random::nextGaussian).limit(ArrayUtil.prodLong(shape)).toArray();
        return Nd4j.create(values, shape, DataType.DOUBLE).castTo(type);
    }

    /** Gives every A and B values, as if trained, so that ΔW is no longer zero. */
    public static void randomizeAdapters(Map<String, INDArray> paramTable, long seed) {
        for (Map.Entry<String, INDArray> parameter : paramTable.entrySet()) {
            String key = parameter.getKey();
            if (key.matches(".*[_.](" + Variant.A + "|" + Variant.B + ")")) {
                INDArray value = parameter.getValue();
                value.assign(random(value.dataType(), seed++, value.shape()).muli(0.5));
            }
        }
    }

    /** The largest absolute difference. */
    public static double difference(INDArray a, INDArray b) {
        return a.castTo(DataType.DOUBLE).sub(b.castTo(DataType.DOUBLE)).amaxNumber().doubleValue();
    }

    /** Bit for bit: INDArray's own equality allows for 1e-5. */
    public static void assertSame(String what, INDArray actual, INDArray expected) {
        assertThat(actual.ravel().toDoubleVector()).as(what).containsExactly(expected.ravel().toDoubleVector());
    }

    /** @param error the largest difference allowed, relative to what is expected, in the Frobenius norm */
    public static void assertClose(String what, INDArray actual, INDArray expected, double error) {
        INDArray wide = expected.castTo(DataType.DOUBLE);
        double difference = actual.castTo(DataType.DOUBLE).sub(wide).norm2Number().doubleValue();
        assertThat(difference).as(what).isLessThanOrEqualTo(error * wide.norm2Number().doubleValue());
    }
}
