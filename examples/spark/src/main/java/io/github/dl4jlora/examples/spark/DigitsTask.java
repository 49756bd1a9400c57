package io.github.dl4jlora.examples.spark;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.examples.Digits;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;

/** A wide network that reads upright digits is taught to read digits turned by 90°. */
final class DigitsTask {

    static final int BATCH = 32;

    private static final double LEARNING_RATE = 2e-3;
    private static final double TEST_SHARE = 0.25;
    static final int BASE_EPOCHS = 5;

    private final int width;
    private final long seed;
    private final Digits.Split upright;
    private final Digits.Split turned;

    /**
     * @param width outputs of either hidden layer
     */
    DigitsTask(int width, long seed) {
        this.width = width;
        this.seed = seed;
        this.upright = Digits.load().split(TEST_SHARE, seed);
        this.turned = new Digits.Split(upright.train().turned(), upright.test().turned());
    }

    /** The base, trained on upright digits. */
    ComputationGraph base(TrainingListener... watchers) {
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(seed)
                .updater(new Adam(LEARNING_RATE))
                .weightInit(WeightInit.RELU).activation(Activation.RELU).graphBuilder().addInputs("pixels")
                .addLayer("fc1", new DenseLayer.Builder().nIn(Digits.PIXELS).nOut(width).build(), "pixels")
                .addLayer("fc2", new DenseLayer.Builder().nIn(width).nOut(width).build(), "fc1")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nIn(width).nOut(Digits.CLASSES)
                        .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build(), "fc2")
                .setOutputs("out").build());
        base.init();
        base.setListeners(watchers);
        base.fit(upright.train().batches(BATCH), BASE_EPOCHS);
        base.setListeners();
        return base;
    }

    /**
     * @param location where executors find the base
     */
    ComputationGraph lora(ComputationGraph base, URI location) {
        return LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(LEARNING_RATE)).seed(seed).baseLocation(location).build());
    }

    /** A copy of the base in which everything trains. */
    ComputationGraph full(ComputationGraph base) {
        return new TransferLearning.GraphBuilder(base).fineTuneConfiguration(new FineTuneConfiguration.Builder()
                .updater(new Adam(LEARNING_RATE)).seed(seed).build()).build();
    }

    /** How many batches an epoch has. */
    int batches() {
        return turned.train().size() / BATCH;
    }

    /** Turned digits, with a batch per element and a partition per worker. */
    JavaRDD<DataSet> data(JavaSparkContext spark, int workers) {
        return spark.parallelize(trainingBatches(), workers);
    }

    /** The same without Spark. */
    DataSetIterator batchesHere() {
        return new ExistingDataSetIterator(trainingBatches());
    }

    private List<DataSet> trainingBatches() {
        List<DataSet> batches = new ArrayList<>();
        turned.train().batches(BATCH).forEachRemaining(batches::add);
        // DL4J on Spark assumes batches of equal size: the rest of an epoch is left out.
        return new ArrayList<>(batches.subList(0, batches()));
    }

    /** Turned digits that no training has seen, {@code [images, 64]}. */
    INDArray questions() {
        return turned.test().features();
    }

    /** Share of right answers on turned digits that no training has seen. */
    double accuracy(ComputationGraph network) {
        Evaluation evaluation = network.evaluate(turned.test().batches(BATCH));
        return evaluation.accuracy();
    }
}
