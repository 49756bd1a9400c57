package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Small networks and adapters that were trained a little. */
final class Networks {

    static final int IN = 6;
    static final int OUT = 3;

    private Networks() {
    }

    static MultiLayerNetwork layers(long seed) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam(0.01))
                .activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(IN).nOut(8).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(7).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(OUT).activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }

    static ComputationGraph graph(long seed) {
        ComputationGraph network = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(seed).updater(new Adam(0.01))
                .activation(Activation.TANH).graphBuilder().addInputs("in")
                .addLayer("fc1", new DenseLayer.Builder().nIn(IN).nOut(8).build(), "in")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nIn(8).nOut(OUT)
                        .activation(Activation.SOFTMAX).build(), "fc1")
                .setOutputs("out").build());
        network.init();
        return network;
    }

    static MultiLayerNetwork adapted(MultiLayerNetwork base, int rank, int task) {
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(rank).alpha(2).seed(task).build());
        for (int i = 0; i < 20; i++) {
            adapted.fit(data(task));
        }
        return adapted;
    }

    static LoRAAdapter adapter(MultiLayerNetwork base, int rank, int task) {
        return LoRAAdapter.of(adapted(base, rank, task));
    }

    static DataSet data(int task) {
        INDArray labels = Nd4j.zeros(12, OUT);
        for (int i = 0; i < 12; i++) {
            labels.putScalar(i, (i * task + task) % OUT, 1);
        }
        return new DataSet(input(), labels);
    }

    /** {@code [12, IN]}, the same each time. */
    static INDArray input() {
        INDArray input = Nd4j.create(12, IN);
        for (long i = 0; i < input.length(); i++) {
            input.putScalar(i, Math.sin(i * 1.7));
        }
        return input;
    }
}
