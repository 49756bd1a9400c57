package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import org.deeplearning4j.nn.conf.InputPreProcessor;

/**
 * Writes preprocessors of one class.
 *
 * @param <P> the class of the preprocessor
 */
@FunctionalInterface
public interface PreprocessorExport<P extends InputPreProcessor> {

    /**
     * Adds to the graph how the preprocessor reshapes its input.
     *
     * @param here where the layer is that it belongs to
     * @return what flows out, with the mask that DL4J hands on
     */
    Flow export(P preprocessor, Flow input, Place here);
}
