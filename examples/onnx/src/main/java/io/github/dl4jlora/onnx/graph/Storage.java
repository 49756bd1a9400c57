package io.github.dl4jlora.onnx.graph;

/** How weights stand in the file. Those without an axis of outputs always stand there as FLOAT. */
public enum Storage {
    /** As they are. */
    FLOAT {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return graph.initializer(Initializer.floats(weight.name(), weight.shape(), weight.values()));
        }
    },
    /** In two bytes, of IEEE 754. */
    FLOAT16 {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return FLOAT.add(graph, weight);
        }
    },
    /** The upper two bytes of a FLOAT. */
    BF16 {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return FLOAT.add(graph, weight);
        }
    },
    /** In one byte, with a scale for each output. */
    INT8 {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return FLOAT.add(graph, weight);
        }
    };

    /** {@return the name of a FLOAT tensor with the weight's values} */
    abstract String add(OnnxGraph graph, Weight weight);
}
