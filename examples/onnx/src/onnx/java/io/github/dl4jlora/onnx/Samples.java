package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Networks and inputs to compare on. */
final class Samples {

    private Samples() {
    }

    /** A chain of layers, none of whose parameters is at its initial value. */
    static MultiLayerNetwork network(int seed, InputType type, Layer... layers) {
        return shaken(Initialised.of(seed, type, layers), seed);
    }

    /** Adds something to each parameter: a bias or slope that is still zero would hide mistakes. */
    static <M extends Model> M shaken(M network, int seed) {
        Nd4j.getRandom().setSeed(seed);
        if (network.numParams() > 0) {
            network.params().addi(Nd4j.rand(DataType.FLOAT, network.params().shape()).subi(0.5).muli(0.6));
        }
        return network;
    }

    /** Normally distributed values of that shape. */
    static INDArray input(InputType type, long batch) {
        long[] shape = type.getShape(true);
        shape[0] = batch;
        return normal(shape);
    }

    /** Normally distributed values of that shape, from a fixed seed. */
    static INDArray normal(long... shape) {
        Nd4j.getRandom().setSeed(99);
        return Nd4j.randn(DataType.FLOAT, shape);
    }
}
