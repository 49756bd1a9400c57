package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import org.deeplearning4j.nn.conf.layers.Layer;

/**
 * Writes layers of one class.
 *
 * @param <L> the class of the stock configuration
 */
@FunctionalInterface
public interface LayerExport<L extends Layer> {

    /**
     * Adds to the graph what the layer computes in inference.
     *
     * @param layer the stock configuration
     * @param input what flows in, behind the layer's preprocessor
     * @param here  where the layer is: its weights, and the graph
     * @return what flows out, with the mask that DL4J hands on
     */
    Flow export(L layer, Flow input, Place here);
}
