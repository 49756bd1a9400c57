package io.github.dl4jlora.adapter;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Map;
import java.util.NoSuchElementException;

/**
 * The weights of a stock network by the name that an adapter has for them: {@code fc1} is the W of layer fc1,
 * {@code lstm/RW} the RW of layer lstm.
 */
final class BaseMatrix {

    private static final String WEIGHTS = "W";

    private BaseMatrix() {
    }

    /**
     * The Frobenius norm.
     *
     * @throws NoSuchElementException if the network has no such weights
     */
    static double norm(Model base, String name) {
        INDArray weights = find(base, name);
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            boolean wide = weights.dataType() == DataType.DOUBLE || weights.dataType() == DataType.FLOAT;
            return (wide ? weights : weights.castTo(DataType.FLOAT)).norm2Number().doubleValue();
        }
    }

    private static INDArray find(Model base, String name) {
        Map<String, INDArray> table = base.paramTable();
        INDArray weights = table.get(prefix(base, name) + "_" + WEIGHTS);
        int slash = name.lastIndexOf('/');
        if (weights == null && slash > 0) {
            weights = table.get(prefix(base, name.substring(0, slash)) + "_" + name.substring(slash + 1));
        }
        if (weights == null) {
            throw new NoSuchElementException("The network has no weights for the adapter's \"" + name + "\"; its parameters are "
                    + table.keySet() + ". Give the network that the adapter was made for; of an adapted one, LoRA.unload(network)");
        }
        return weights;
    }

    /** What DL4J puts before a parameter's key: the vertex's name, in a MultiLayerNetwork the layer's index. */
    private static String prefix(Model base, String layer) {
        if (base instanceof MultiLayerNetwork network) {
            for (int i = 0; i < network.getnLayers(); i++) {
                Layer conf = network.getLayerWiseConfigurations().getConf(i).getLayer();
                if (layer.equals(conf.getLayerName())) {
                    return String.valueOf(i);
                }
            }
        }
        return layer;
    }
}
