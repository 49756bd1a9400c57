package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.internal.base.FrozenWeights;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;

/**
 * The weights of a stock network that can be adapted, by the name that an adapter has for them.
 */
public final class BaseMatrices {

    /**
     * A matrix that can be adapted.
     *
     * @param values {@code [nIn, nOut]}, live
     * @param layer  the running layer that it is of
     */
    private record BaseMatrix(INDArray values, Trainable layer) {
    }

    private final Map<String, BaseMatrix> weights = new LinkedHashMap<>();

    private BaseMatrices(Network<?> network) {
        for (Node node : network.nodes()) {
            Trainable layer = network.runtime(node.name());
            Map<String, INDArray> table = layer.paramTable(false);
            node.matrices().forms().forEach((key, form) -> {
                if (table != null && table.containsKey(key)) {
                    weights.put(node.matrices().module(node.name(), key), new BaseMatrix(form.viewOf(table.get(key)), layer));
                }
            });
        }
    }

    /** The weights of a stock network. */
    public static BaseMatrices of(Model stock) {
        return new BaseMatrices(Network.of(stock));
    }

    /**
     * The Frobenius norm of the weights that an adapter was made for.
     *
     * @param baseId content id of their layer; null: not known
     * @throws NoSuchElementException   if the network has no such weights
     * @throws IllegalArgumentException if they have another shape, or their layer another content
     */
    public double norm(String name, long nIn, long nOut, String baseId) {
        BaseMatrix found = weights.get(name);
        if (found == null) {
            throw new NoSuchElementException("The network has no weights for the adapter's \"" + name + "\"; it has them for "
                    + weights.keySet() + ". Give the network that the adapter was made for; of an adapted one, "
                    + "LoRA.unload(network)");
        }
        INDArray values = found.values;
        if (values.size(0) != nIn || values.size(1) != nOut) {
            throw new IllegalArgumentException("Layer \"" + name + "\": the adapter is for [" + nIn + ", " + nOut
                    + "], but the network's weights are [" + values.size(0) + ", " + values.size(1)
                    + "]. Give the network that the adapter was made for");
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (baseId != null) {
                requireSameBase(name, baseId, found.layer);
            }
            boolean wide = values.dataType() == DataType.DOUBLE || values.dataType() == DataType.FLOAT;
            return (wide ? values : values.castTo(DataType.FLOAT)).norm2Number().doubleValue();
        }
    }

    private static void requireSameBase(String name, String expected, Trainable layer) {
        String id = FrozenWeights.unregistered(layer.params(), layer.paramTable(false)).id();
        if (!id.equals(expected)) {
            throw new IllegalArgumentException("Layer \"" + name + "\": the adapter was made for the base weights " + expected
                    + ", but the network has " + id + ". Give the network that the adapter was made for, as it was then");
        }
    }
}
