package io.github.dl4jlora.serve;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.cli.AnyNetwork;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Small networks, and adapters that change much. */
final class Networks {

    static final int IN = 6;
    static final int OUT = 3;

    private Networks() {
    }

    static MultiLayerNetwork dense(long seed) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed)
                .activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(IN).nOut(8).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(7).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(OUT).activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }

    /** Inputs {@code left} and {@code right}, {@code [examples, IN]} each; outputs {@code sum} and {@code gap}. */
    static ComputationGraph twice(long seed) {
        ComputationGraph network = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(seed)
                .activation(Activation.TANH).graphBuilder().addInputs("left", "right")
                .addLayer("fc1", new DenseLayer.Builder().nIn(IN).nOut(8).build(), "left")
                .addLayer("fc2", new DenseLayer.Builder().nIn(IN).nOut(8).build(), "right")
                .addLayer("sum", new OutputLayer.Builder(LossFunction.MSE).nIn(16).nOut(2).activation(Activation.TANH).build(),
                        "fc1", "fc2")
                .addLayer("gap", new OutputLayer.Builder(LossFunction.MSE).nIn(8).nOut(OUT).activation(Activation.TANH).build(),
                        "fc2").setOutputs("sum", "gap").build());
        network.init();
        return network;
    }

    /** {@code [examples, IN, steps]} in, {@code [examples, OUT]} out: the mean of the steps that a mask leaves. */
    static MultiLayerNetwork recurrent(long seed) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed).list()
                .layer(new LSTM.Builder().name("lstm").nIn(IN).nOut(5).build())
                .layer(new GlobalPoolingLayer.Builder(PoolingType.AVG).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nIn(5).nOut(OUT)
                        .activation(Activation.SOFTMAX).build()).build());
        network.init();
        return network;
    }

    /** One that has learned something, as far as anybody can see from outside. */
    static Model adapted(Model base, long task, String... layers) {
        return adapted(base, 0.7, task, layers);
    }

    /** @param size standard deviation of A and B */
    static Model adapted(Model base, double size, long task, String... layers) {
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).alpha(2);
        if (layers.length > 0) {
            config.targets(layers);
        }
        Model adapted = AnyNetwork.apply(base, config.build());
        INDArray values = adapted.params();
        values.assign(Nd4j.randn(values.shape(), Nd4j.getRandomFactory().getNewRandomInstance(task)).muli(size));
        return adapted;
    }

    /** What a single network with the adapter of a task computes. */
    static INDArray output(MultiLayerNetwork base, long task, INDArray input) {
        return ((MultiLayerNetwork) adapted(base, task)).output(input);
    }

    static LoRAAdapter adapter(Model base, long task, String... layers) {
        return LoRAAdapter.of(adapted(base, task, layers));
    }

    /** {@code [examples, IN, …]}, the same for the same seed. */
    static INDArray input(long seed, long... shape) {
        return Nd4j.randn(shape, Nd4j.getRandomFactory().getNewRandomInstance(seed));
    }
}
