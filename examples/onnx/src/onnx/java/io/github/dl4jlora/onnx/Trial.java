package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Named;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A small network with random weights, biases and statistics.
 *
 * @param type   of its input
 * @param layers of it
 */
record Trial(InputType type, List<Layer> layers) {

    /** A trial by what distinguishes it from others. */
    static Named<Trial> of(String name, InputType type, Layer... layers) {
        return Named.of(name, new Trial(type, List.of(layers)));
    }

    /** The network and its file give the same for several sizes of a batch. */
    void agrees() throws IOException {
        MultiLayerNetwork network = network();
        for (int batch : new int[]{3, 1}) {
            InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), input(batch));
        }
    }

    MultiLayerNetwork network() {
        NeuralNetConfiguration.ListBuilder builder = new NeuralNetConfiguration.Builder().seed(1).list();
        layers.forEach(layer -> builder.layer(layer.clone()));
        MultiLayerNetwork network = new MultiLayerNetwork(builder.setInputType(type).build());
        network.init();
        randomise(network.paramTable());
        return network;
    }

    /** Random weights of either sign; variances are positive. */
    static void randomise(Map<String, INDArray> parameters) {
        Nd4j.getRandom().setSeed(7);
        parameters.forEach((key, values) -> values.assign(key.endsWith("_var")
                ? Nd4j.rand(DataType.FLOAT, values.shape()).add(0.5) : Nd4j.randn(DataType.FLOAT, values.shape()).mul(0.3)));
    }

    INDArray input(int batch) {
        long[] shape = type instanceof InputType.InputTypeConvolutionalFlat flat ? new long[]{batch, flat.getFlattenedSize()}
                : type.getShape(true);
        shape[0] = batch;
        return Nd4j.randn(DataType.FLOAT, Arrays.stream(shape).map(size -> size < 0 ? 7 : size).toArray());
    }
}
