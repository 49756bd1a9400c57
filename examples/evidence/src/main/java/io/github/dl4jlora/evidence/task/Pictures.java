package io.github.dl4jlora.evidence.task;

import io.github.dl4jlora.evidence.Task;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

/** Pictures and the network of the main example, unless a task has another: dense layers, 256 wide, three and an output layer. */
public abstract class Pictures implements Task {

    /** The layer below the output layer. */
    public static final String LAST_HIDDEN = "fc3";

    private static final int WIDTH = 256;
    private static final double BASE_RATE = 2e-3;

    private final int pixels;
    private final int classes;
    private final int baseEpochs;

    Pictures(int pixels, int classes, int baseEpochs) {
        this.pixels = pixels;
        this.classes = classes;
        this.baseEpochs = baseEpochs;
    }

    /**
     * Batches for training and for testing.
     *
     * @param train in the order of an epoch
     */
    record Lesson(List<DataSet> train, List<DataSet> test) {
    }

    @Override
    public List<String> targets() {
        return List.of("fc\\d");
    }

    /** What the base learns. */
    abstract Lesson before(long seed);

    /** What it learns after that. */
    abstract Lesson then(long seed);

    @Override
    public Start start(long seed) {
        Lesson before = before(seed);
        Lesson then = then(seed);
        ComputationGraph base = network(seed);
        base.fit(new ExistingDataSetIterator(before.train), baseEpochs);
        return new Start(base, then.train, network -> Task.percentRight(network, then.test),
                network -> Task.percentRight(network, before.test));
    }

    /** A base before it has learned anything. */
    ComputationGraph network(long seed) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam(BASE_RATE))
                .weightInit(WeightInit.RELU).activation(Activation.RELU).graphBuilder().addInputs("in");
        int layers = 3;
        for (int i = 1; i <= layers; i++) {
            graph.addLayer("fc" + i, new DenseLayer.Builder().nIn(i == 1 ? pixels : WIDTH).nOut(WIDTH).build(),
                    i == 1 ? "in" : "fc" + (i - 1));
        }
        graph.addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nIn(WIDTH).nOut(classes)
                .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build(), LAST_HIDDEN).setOutputs("out");
        ComputationGraph network = new ComputationGraph(graph.build());
        network.init();
        return network;
    }
}
