package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.FrozenWeightsRegistry;
import io.github.dl4jlora.internal.base.MappedFile;
import io.github.dl4jlora.internal.base.Replacement;
import io.github.dl4jlora.internal.stock.Hollow;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stored.StoredConfiguration;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A frozen network in a {@link MappedFile}. */
public final class MappedBase {

    private MappedBase() {
    }

    /**
     * @param frozen a frozen network, its weights as they were when it was made
     * @throws IllegalArgumentException naming the layer, if a weight is NaN or infinite, or the values are too long in one piece
     * @throws IOException              naming the file, if it cannot be written
     */
    public static void write(Model frozen, Path target, SaveOption... options) throws IOException {
        Map<String, FrozenWeights> weights = new LinkedHashMap<>();
        StoredConfiguration.forEach(frozen, (name, configured) -> {
            FrozenReference reference = reference(configured);
            if (reference != null) {
                FrozenWeights layer = reference.require(name);
                requireFinite(name, layer);
                MappedFile.requireMappable(name, layer);
                weights.put(reference.getId(), layer);
            }
        });
        String network = (frozen instanceof ComputationGraph ? ComputationGraph.class : MultiLayerNetwork.class).getSimpleName();
        AtomicFile.write(target, out -> MappedFile.write(out, network, StoredConfiguration.json(frozen), weights.values()),
                options);
    }

    /** Matrices in fewer bits were checked when they were quantised. */
    private static void requireFinite(String layer, FrozenWeights weights) {
        Map<String, INDArray> rest = weights.rest(weights.dataType());
        for (INDArray values : rest == null ? List.of(weights.values()) : rest.values()) {
            if (RawValues.firstNotFinite(values) >= 0) {
                throw new IllegalArgumentException("Layer \"" + layer + "\" holds NaN or infinity. The network has diverged: "
                        + "write an earlier one");
            }
        }
    }

    /**
     * Makes the network on the file's values, none of which is read.
     *
     * @return a network without parameters, its frozen weights bound
     * @throws IOException naming the file, if it is missing, truncated, damaged or of another kind
     */
    public static Model open(Path file) throws IOException {
        if (!NetworkFile.onDisk(file).isFile()) {
            throw new IOException(file + " does not exist or is not a file");
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return StoredConfiguration.named(file, () -> {
                MappedFile mapped = MappedFile.open(file);
                Model network = network(mapped.configuration(), mapped.weights());
                mapped.weights().values().forEach(FrozenWeightsRegistry::register);
                return network;
            });
        }
    }

    private static Model network(String configuration, Map<String, FrozenWeights> weights) throws IOException {
        String json = StoredConfiguration.checked(configuration.getBytes(StandardCharsets.UTF_8),
                id -> required(weights, id));
        return StoredConfiguration.network(json, (name, configured) -> {
            FrozenReference reference = reference(configured);
            if (reference != null) {
                // Bound before a layer looks for them, since the registry would read them all.
                FrozenWeights found = matching(name, reference, required(weights, reference.getId()));
                if (found.form() != null && configured instanceof Layer layer) {
                    Replacement replacement = Objects.requireNonNull(StockLayers.replacement(layer));
                    requireShapes(name, Objects.requireNonNull(replacement.toStockLayer()), reference, found);
                }
                reference.bind(found);
            }
        }, length -> {
            throw new IOException("its network has " + length + " parameters that are not frozen, and the file has no values for "
                    + "them");
        });
    }

    /** Null for what is not frozen. */
    static @Nullable FrozenReference reference(Object configured) {
        Replacement replacement = configured instanceof Layer layer ? StockLayers.replacement(layer)
                : StockLayers.replacement((GraphVertex) configured);
        return replacement == null ? null : replacement.getFrozen();
    }

    private static FrozenWeights required(Map<String, FrozenWeights> weights, String id) throws IOException {
        FrozenWeights found = weights.get(id);
        if (found == null) {
            throw new IOException("it lacks the frozen weights " + id + " that its configuration refers to");
        }
        return found;
    }

    private static FrozenWeights matching(String layer, FrozenReference reference, FrozenWeights weights) throws IOException {
        if (!reference.getSignature().equals(weights.signature()) || !Objects.equals(reference.getForm(), weights.form())) {
            throw new IOException("layer \"" + layer + "\" refers to " + reference.getSignature() + " as " + reference.storedAs()
                    + ", but the file has " + weights.signature() + " as " + weights.storedAs());
        }
        return weights;
    }

    /** Products by lines of a matrix rely on the number of lines. */
    private static void requireShapes(String layer, Layer replaced, FrozenReference reference, FrozenWeights weights)
            throws IOException {
        NeuralNetConfiguration stock = StockLayers.confOf(StockLayers.unwrap(replaced));
        long length = stock.getLayer().initializer().numParams(stock);
        String asked = length != weights.length() ? length + " values" : Hollow.part(weights.dataType(), length, zeros ->
                FrozenWeights.signature(weights.dataType(), stock.getLayer().initializer().init(stock, zeros, false)));
        if (length != weights.length() || !reference.hasShapesOf(asked)) {
            throw new IOException("layer \"" + layer + "\" asks for " + asked + ", but refers to " + weights.signature());
        }
    }
}
