package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

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
    public MultiLayerNetwork clone() {
        return Network.of((MultiLayerNetwork) this).rebuild(Map.of(), Map.of()).model();
    }
}
