package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

import java.util.Map;

/**
 * A graph in which nothing trains. DL4J's {@code fit} takes a network without parameters and does nothing, without a word and
 * without asking a layer; this one refuses. All else is DL4J's.
 */
final class FrozenGraph extends ComputationGraph {

    FrozenGraph(ComputationGraphConfiguration conf) {
        super(conf);
    }

    // All others end in one of these two.

    @Override
    public void fit(MultiDataSetIterator iterator) {
        throw Adaptation.nothingTrains();
    }

    @Override
    public void fit(INDArray[] inputs, INDArray[] labels, INDArray[] featureMasks, INDArray[] labelMasks) {
        throw Adaptation.nothingTrains();
    }

    @Override
    public void setParams(INDArray params) {
        Adaptation.refuseParameters(params);
    }

    @Override
    public ComputationGraph convertDataType(DataType type) {
        ComputationGraph converted = super.convertDataType(type);
        return converted == this ? this : (ComputationGraph) Adaptation.restored(converted);
    }

    @Override
    public ComputationGraph clone() {
        ComputationGraph clone = Network.of((ComputationGraph) this).rebuild(Map.of(), Map.of()).model();
        clone.setListeners(getListeners());
        return clone;
    }
}
