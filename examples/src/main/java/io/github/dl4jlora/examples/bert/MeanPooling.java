package io.github.dl4jlora.examples.bert;

import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * The mean of a text's token vectors, padding left out.
 *
 * <pre>
 * inputs  rows       [minibatch · tokens, hidden]
 *         token ids  [minibatch, tokens], zeros at the end are padding; the last input, as it has no gradient
 * output             [minibatch, hidden]
 * </pre>
 */
public final class MeanPooling extends GraphVertex {

    private static final int INPUTS = 2;

    @Override
    public MeanPooling clone() {
        return new MeanPooling();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof MeanPooling;
    }

    @Override
    public int hashCode() {
        return MeanPooling.class.hashCode();
    }

    @Override
    public long numParams(boolean backprop) {
        return 0;
    }

    @Override
    public int minVertexInputs() {
        return INPUTS;
    }

    @Override
    public int maxVertexInputs() {
        return INPUTS;
    }

    @Override
    public org.deeplearning4j.nn.graph.vertex.GraphVertex instantiate(ComputationGraph graph, String name, int index,
                                                                      INDArray view, boolean initialize, DataType type) {
        return new MeanPoolingRuntime(graph, name, index, type);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... inputs) {
        return inputs[0];
    }

    @Override
    public MemoryReport getMemoryReport(InputType... inputs) {
        return new LayerMemoryReport.Builder(null, MeanPooling.class, inputs[0], inputs[0])
                .standardMemory(0, 0).workingMemory(0, 0, 0, 0).cacheMemory(0, 0).build();
    }
}
