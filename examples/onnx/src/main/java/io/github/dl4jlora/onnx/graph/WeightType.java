package io.github.dl4jlora.onnx.graph;

/** How weights are stored in the file. Biases, and what normalises, always stay FLOAT; the network computes in FLOAT. */
public enum WeightType {
    /** As they are. */
    FLOAT;

    /** {@return the name of a FLOAT tensor with the weight's values} */
    String add(OnnxGraph graph, Weight weight) {
        return graph.initializer(Initializer.floats(weight.name(), weight.shape(), weight.values()));
    }
}
