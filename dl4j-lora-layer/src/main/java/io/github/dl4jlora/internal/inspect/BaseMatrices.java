package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.ThawedNetwork;
import io.github.dl4jlora.internal.stock.MatrixForm;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;

/**
 * The weights of a stock network that can be adapted, by the name that an adapter has for them.
 */
public final class BaseMatrices {

    /** A parameter that can be adapted. */
    private record BaseMatrix(Node node, String key, MatrixForm form) {
    }

    private final Network<?> network;
    private final Map<String, BaseMatrix> weights = new LinkedHashMap<>();

    private BaseMatrices(Network<?> network) {
        this.network = network;
        for (Node node : network.nodes()) {
            if (node.numParams() > 0) {
                node.matrices().forms().forEach((key, form) ->
                        weights.put(node.matrices().module(node.name(), key), new BaseMatrix(node, key, form)));
            }
        }
    }

    /** The weights of a stock network, or of a frozen one, whose quantised layers are restored one at a time. */
    public static BaseMatrices of(Model stock) {
        return new BaseMatrices(ThawedNetwork.of(Networks.of(stock)));
    }

    private INDArray values(BaseMatrix matrix) {
        return matrix.form.viewOf(
                Objects.requireNonNull(network.runtime(matrix.node.name()).paramTable(false).get(matrix.key)));
    }

    /**
     * The Frobenius norm of the weights that an adapter was made for.
     *
     * @param baseId content id of their layer; null: not known
     * @throws NoSuchElementException   if the network has no such weights
     * @throws IllegalArgumentException if they have another shape, or their layer another content
     */
    public double norm(String name, long nIn, long nOut, @Nullable String baseId) {
        BaseMatrix found = weights.get(name);
        if (found == null) {
            throw new NoSuchElementException("The network has no weights for the adapter's \"" + name + "\"; it has them for "
                    + weights.keySet() + ". Use the network that the adapter was made for, or LoRA.unload(network) if it is "
                    + "adapted");
        }
        INDArray values = values(found);
        if (values.size(0) != nIn || values.size(1) != nOut) {
            throw new IllegalArgumentException("Layer \"" + name + "\": the adapter is for [" + nIn + ", " + nOut
                    + "], but the network's weights are [" + values.size(0) + ", " + values.size(1)
                    + "]. Use the network that the adapter was made for");
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (baseId != null) {
                requireSameBase(name, baseId, found.node);
            }
            boolean wide = values.dataType() == DataType.DOUBLE || values.dataType() == DataType.FLOAT;
            return (wide ? values : values.castTo(DataType.FLOAT)).norm2Number().doubleValue();
        }
    }

    private void requireSameBase(String name, String expected, Node node) {
        String id = Objects.requireNonNull(network.unregistered(node)).baseId();
        if (!id.equals(expected)) {
            throw new IllegalArgumentException("Layer \"" + name + "\": the adapter was made for the base weights " + expected
                    + ", but the network has " + id + ". Use the network that the adapter was made for, as it was then");
        }
    }
}
