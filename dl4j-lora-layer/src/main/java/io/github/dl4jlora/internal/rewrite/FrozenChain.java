package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.io.NotSerializableException;
import java.util.Map;

/** What {@link FrozenGraph} is, as a MultiLayerNetwork. */
final class FrozenChain extends MultiLayerNetwork {

    FrozenChain(MultiLayerConfiguration conf) {
        super(conf);
    }

    // All others end in one of these two.

    @Override
    public void fit(DataSetIterator iterator) {
        throw Adaptation.nothingTrains();
    }

    @Override
    public void fit(INDArray features, INDArray labels, INDArray featuresMask, INDArray labelsMask) {
        throw Adaptation.nothingTrains();
    }

    @Override
    public void setParams(INDArray params) {
        Adaptation.refuseParameters(params);
    }

    @Override
    public MultiLayerNetwork convertDataType(DataType type) {
        MultiLayerNetwork converted = super.convertDataType(type);
        return converted == this ? this : (MultiLayerNetwork) Adaptation.restored(converted);
    }

    @Override
    public ComputationGraph toComputationGraph() {
        return (ComputationGraph) Adaptation.restored(super.toComputationGraph());
    }

    @Override
    public MultiLayerNetwork clone() {
        return Network.of((MultiLayerNetwork) this).rebuild(Map.of(), Map.of()).model();
    }

    /** DL4J writes a network without parameters, and fails when it reads it. */
    private Object writeReplace() throws NotSerializableException {
        throw new NotSerializableException("A frozen network has no parameters, of which Java serialization of a "
                + "MultiLayerNetwork consists: write it with LoRA.save");
    }
}
