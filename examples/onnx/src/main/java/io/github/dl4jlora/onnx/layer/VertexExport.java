package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import org.deeplearning4j.nn.conf.graph.GraphVertex;

import java.util.List;

/**
 * Writes vertices of one class.
 *
 * @param <V> the class of the stock configuration
 */
@FunctionalInterface
public interface VertexExport<V extends GraphVertex> {

    /**
     * Adds to the graph what the vertex computes in inference.
     *
     * @param vertex the stock configuration
     * @param inputs what flows in
     * @param here   where the vertex is: its weights, and the graph
     * @return what flows out, with the mask that DL4J hands on
     */
    Flow export(V vertex, List<Flow> inputs, Place here);
}
