package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.OnnxGraph;

/** ONNX's operators for images have the channels in dimension 1; DL4J may have them last. ONNX Runtime removes pairs of moves. */
final class Channels {

    private Channels() {
    }

    /** Moves the channels from the last dimension to dimension 1, if they are last. */
    static String first(OnnxGraph graph, String tensor, int rank, boolean last) {
        if (!last) {
            return tensor;
        }
        int[] order = new int[rank];
        order[1] = rank - 1;
        for (int i = 2; i < rank; i++) {
            order[i] = i - 1;
        }
        return graph.transpose(tensor, order);
    }

    /** Moves the channels from dimension 1 to the last dimension, if they shall be last. */
    static String back(OnnxGraph graph, String tensor, int rank, boolean last) {
        if (!last) {
            return tensor;
        }
        int[] order = new int[rank];
        order[rank - 1] = 1;
        for (int i = 1; i < rank - 1; i++) {
            order[i] = i + 1;
        }
        return graph.transpose(tensor, order);
    }
}
