package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/** A layer's vertex that tells a {@link TiedDecoder} which graph it is in: DL4J gives the graph to vertices only. */
public final class TiedVertex extends LayerVertex {

    TiedVertex() {
        // For JSON.
    }

    TiedVertex(NeuralNetConfiguration layer) {
        super(layer, null);
    }

    @Override
    public TiedVertex clone() {
        return new TiedVertex(getLayerConf().clone());
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof TiedVertex && super.equals(other);
    }

    @Override
    public int hashCode() {
        return 31 * super.hashCode();
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        org.deeplearning4j.nn.graph.vertex.GraphVertex vertex = super.instantiate(graph, name, index, view, initialize, type);
        TiedDecoderRuntime decoder = MatrixLayer.inside(TiedDecoderRuntime.class, vertex.getLayer());
        if (decoder == null) {
            throw new IllegalStateException("Layer \"" + name + "\" in a TiedVertex is " + vertex.getLayer()
                    + ", but must be a TiedDecoder");
        }
        decoder.setGraph(graph);
        return vertex;
    }
}
