package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

/** The networks and the batch of a {@link Shape}. */
final class Networks {

    private Networks() {
    }

    static DataSet batch(Shape shape) {
        Nd4j.getRandom().setSeed(7);
        return new DataSet(Nd4j.randn(shape.rows(), shape.in()), Nd4j.randn(shape.rows(), shape.out()));
    }

    static MultiLayerNetwork of(Side side, Shape shape) {
        return switch (side) {
            case DL4J_FULL -> base(shape, false);
            case DL4J_FROZEN -> base(shape, true);
            default -> LoRA.apply(base(shape, false), side.config(config(shape)));
        };
    }

    static LoRAConfig.Builder config(Shape shape) {
        return LoRAConfig.builder().rank(shape.rank()).alpha(1);
    }

    static MultiLayerNetwork base(Shape shape, boolean frozenButLast) {
        NeuralNetConfiguration.ListBuilder list = builder(shape).list();
        for (int i = 0; i < shape.layers(); i++) {
            DenseLayer dense = new DenseLayer.Builder().nIn(shape.widths().get(i)).nOut(shape.widths().get(i + 1)).build();
            list.layer(frozenButLast && i < shape.layers() - 1 ? new FrozenLayerWithBackprop(dense) : dense);
        }
        return init(list.layer(loss()).build());
    }

    /** What DL4J's loop, updater and loss cost by themselves: one element-wise layer instead of all the dense ones. */
    static MultiLayerNetwork withoutDenseLayers(Shape shape) {
        return init(builder(shape).list()
                .layer(new ElementWiseMultiplicationLayer.Builder().nIn(shape.out()).nOut(shape.out()).build())
                .layer(loss()).build());
    }

    private static NeuralNetConfiguration.Builder builder(Shape shape) {
        return new NeuralNetConfiguration.Builder().seed(1).activation(Activation.RELU).updater(updater(shape));
    }

    private static IUpdater updater(Shape shape) {
        return shape.updater().equals("SGD") ? new Sgd(1e-4) : new Adam(1e-4);
    }

    private static LossLayer loss() {
        return new LossLayer.Builder(LossFunctions.LossFunction.MSE).activation(Activation.IDENTITY).build();
    }

    private static MultiLayerNetwork init(MultiLayerConfiguration conf) {
        MultiLayerNetwork network = new MultiLayerNetwork(conf);
        network.init();
        return network;
    }
}
