package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.api.Model;
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

    private final Map<String, INDArray> weights = new LinkedHashMap<>();

    private BaseMatrices(Network<?> network) {
        for (Node node : network.nodes()) {
            Map<String, INDArray> table = network.runtime(node.name()).paramTable(false);
            node.matrices().forms().keySet().stream().filter(key -> table != null && table.containsKey(key))
                    .forEach(key -> weights.put(node.matrices().module(node.name(), key), table.get(key)));
        }
    }

    /** The weights of a stock network. */
    public static BaseMatrices of(Model stock) {
        return new BaseMatrices(Network.of(stock));
    }

    /**
     * The Frobenius norm.
     *
     * @throws NoSuchElementException if the network has no such weights
     */
    public double norm(String name) {
        INDArray found = weights.get(name);
        if (found == null) {
            throw new NoSuchElementException("The network has no weights for the adapter's \"" + name + "\"; it has them for "
                    + weights.keySet() + ". Give the network that the adapter was made for; of an adapted one, "
                    + "LoRA.unload(network)");
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            boolean wide = found.dataType() == DataType.DOUBLE || found.dataType() == DataType.FLOAT;
            return (wide ? found : found.castTo(DataType.FLOAT)).norm2Number().doubleValue();
        }
    }
}
