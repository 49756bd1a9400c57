package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.footprint.TrainingFootprint;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.memory.LayerMemoryReport;
import org.deeplearning4j.nn.conf.memory.MemoryReport;

import java.util.List;

/** A vertex without parameters whose inputs are rows, and, last, the token ids that tell which of them are padding. */
abstract class RowsVertex extends GraphVertex implements TrainingFootprint {

    private final int inputs;
    private final int padding;

    /**
     * @param padding the token id that is padding; 0 in configurations saved before there was a choice
     */
    RowsVertex(int inputs, int padding) {
        this.inputs = inputs;
        this.padding = padding;
    }

    public final int getPadding() {
        return padding;
    }

    @Override
    public final long numParams(boolean backprop) {
        return 0;
    }

    @Override
    public final int minVertexInputs() {
        return inputs;
    }

    @Override
    public final int maxVertexInputs() {
        return inputs;
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType... types) {
        return types[0];
    }

    /** {@return its output, and the gradient of the rows} */
    @Override
    public Footprint footprint(Passage passage) {
        return new Footprint(passage.out(), 0, 0, passage.input().values());
    }

    /** {@return a row for each text} */
    @Override
    public long rows(List<Rows> all) {
        return all.get(all.size() - 1).number();
    }

    /** {@return all but the ids: see {@link TokenVertex}} */
    @Override
    public final int inputsInBackward(int all) {
        return all - 1;
    }

    @Override
    public boolean equals(Object other) {
        return other != null && other.getClass() == getClass() && padding == ((RowsVertex) other).padding;
    }

    @Override
    public int hashCode() {
        return 31 * getClass().hashCode() + padding;
    }

    @Override
    public final MemoryReport getMemoryReport(InputType... types) {
        return new LayerMemoryReport.Builder(null, getClass(), types[0], types[0])
                .standardMemory(0, 0).workingMemory(0, 0, 0, 0).cacheMemory(0, 0).build();
    }
}
