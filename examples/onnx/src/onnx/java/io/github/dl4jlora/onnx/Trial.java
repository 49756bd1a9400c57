package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Named;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.util.List;

/**
 * A chain of layers to compare with its file.
 *
 * @param type   of its input
 * @param layers of it
 */
record Trial(InputType type, List<Layer> layers) {

    /** A trial by what distinguishes it from others. */
    static Named<Trial> of(String name, InputType type, Layer... layers) {
        return Named.of(name, new Trial(type, List.of(layers)));
    }

    /** The network and its file give the same for several sizes of a batch and versions of ONNX. */
    void agrees() throws IOException {
        agrees(network(), type);
    }

    static void agrees(MultiLayerNetwork network, InputType type) throws IOException {
        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), input(type, 3));
        InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type).opset(21), input(type, 1));
    }

    MultiLayerNetwork network() {
        return Samples.network(1, type, layers.toArray(Layer[]::new));
    }

    static INDArray input(InputType type, long batch) {
        return Samples.input(type instanceof InputType.InputTypeConvolutionalFlat flat
                ? InputType.feedForward(flat.getFlattenedSize()) : type, batch);
    }
}
