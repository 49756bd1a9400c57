package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.StoredForm;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.plan.Plan;
import io.github.dl4jlora.internal.plan.Role;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Trainable;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * In what form an adapted network keeps the frozen weights of its base: as they are, a copy of them, or in fewer bits.
 */
final class BaseStorage {

    private final Network<?> from;
    private final LoRAConfig config;
    /** What LoftQ starts with, by node and key: it is computed while the original values are at hand. */
    private final Map<String, Map<String, Map<String, INDArray>>> starts = new HashMap<>();

    BaseStorage(Network<?> from, LoRAConfig config) {
        this.from = from;
        this.config = config;
    }

    /**
     * A node's weights as the network is to keep them. Once some are quantised the others are copies, so that nothing holds on to
     * the base's whole vector.
     *
     * @throws IllegalArgumentException if they are in fewer bits already, but not as configured
     */
    FrozenWeights stored(Node node, Plan.Decision decision, FrozenWeights weights) {
        Quantization scheme = config.quantization();
        List<StoredForm.Part> parts = quantizedParts(node, decision, weights.scheme(), weights.storedAs());
        if (parts == null) {
            boolean apart = config.copyBase() || scheme != null && weights.scheme() == null;
            return apart ? weights.copied(node.name()) : weights;
        }
        Map<String, LoRASettings> fromLoss = startsFromLoss(node, decision);
        parts.stream().filter(part -> fromLoss.containsKey(part.key())).forEach(part -> Objects.requireNonNull(
                fromLoss.get(part.key())).checkFit("Layer \"" + node.name() + "\"", part.length(), part.lines(), null));
        FrozenWeights quantized = quantized(node, weights, Objects.requireNonNull(scheme), parts);
        fromLoss.forEach((key, settings) -> prepareStart(node, key, settings, weights, quantized));
        return quantized;
    }

    /**
     * What {@link #stored} would keep, by type, shapes and form alone.
     *
     * @throws IllegalArgumentException as there, but for values that cannot be quantised
     */
    FrozenReference planned(Node node, Plan.Decision decision, FrozenReference original) {
        List<StoredForm.Part> parts = quantizedParts(node, decision, original.scheme(), original.storedAs());
        return parts == null ? original : original.planned(Objects.requireNonNull(config.quantization()), parts);
    }

    /**
     * The parts into which a node's weights are cut to be quantised; null where they keep the form they have.
     *
     * @param scheme   what they are kept in already; null for an array
     * @param storedAs the same in words
     */
    private @Nullable List<StoredForm.Part> quantizedParts(Node node, Plan.Decision decision,
            @Nullable Quantization scheme, String storedAs) {
        Quantization wanted = config.quantization();
        if (scheme != null && wanted != null && scheme != wanted) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\": quantize(" + wanted + ") was asked for, but the "
                    + "base keeps it as " + scheme + ". Leave quantize out, or quantise the original base");
        }
        List<StoredForm.Part> parts = wanted != null && scheme == null
                && runsQuantized(node, decision, config.engine(), from.dataType()) ? parts(node) : null;
        // A layer of a streamed base comes here twice, the second time quantised already.
        if (parts == null && !startsFromLoss(node, decision).isEmpty() && !starts.containsKey(node.name())) {
            throw nothingLost(node, scheme, storedAs);
        }
        return parts;
    }

    private static FrozenWeights quantized(Node node, FrozenWeights weights, Quantization scheme, List<StoredForm.Part> parts) {
        try {
            return weights.quantized(scheme, parts);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" cannot be quantised: " + e.getMessage(), e);
        }
    }

    /** Whether a node runs without its matrices as arrays. */
    static boolean runsQuantized(Node node, Plan.Decision decision, Engine engine, DataType type) {
        if (node.numParams() == 0) {
            return false;
        }
        boolean isLayer = node.layer() != null;
        return switch (decision.role()) {
            case ADAPT -> Plan.DENSE.contains(node.unwrappedType()) || engine == Engine.FUSED
                    && (isLayer ? Kernels.exists(node.unwrappedLayer(), type) : Kernels.exists(node.unwrappedVertex(), type));
            case FREEZE_PASS, FREEZE_STOP -> isLayer ? FrozenLayers.takesQuantized(node.unwrappedLayer(), type)
                    : FrozenLayers.takesQuantized(node.unwrappedVertex(), type);
            case TRAIN, TRAIN_BIAS, KEEP -> false;
        };
    }

    private @Nullable List<StoredForm.Part> parts(Node node) {
        Trainable running = from.runtime(node.name());
        // Out of DL4J's freezing at every depth, as it runs here.
        StockMatrices stock = node.layer() == null ? node.matrices()
                : StockMatrices.of(StockLayers.unfrozen(node.unwrappedLayer()));
        Map<String, INDArray> table = running.paramTable(false);
        Map<String, INDArray> matrices = new HashMap<>();
        stock.forms().forEach((key, form) -> {
            INDArray matrix = form.viewOf(Objects.requireNonNull(table.get(key)));
            matrices.put(key, stock.areRowsLookedUp() ? matrix.transpose() : matrix);
        });
        INDArray flat = running.params();
        return StoredForm.parts(flat, table, matrices);
    }

    /** The adapted matrices that start from what quantising loses, by key. */
    private Map<String, LoRASettings> startsFromLoss(Node node, Plan.Decision decision) {
        Map<String, LoRASettings> found = new HashMap<>();
        for (String key : decision.keys()) {
            LoRASettings settings = MatrixName.of(node, key).settings(config);
            if (settings.loraInit() == LoRAInit.LOFTQ) {
                found.put(key, settings);
            }
        }
        return found;
    }

    private IllegalArgumentException nothingLost(Node node, @Nullable Quantization scheme, String storedAs) {
        String remedy = scheme != null
                ? " and the original values are not available. Quantise the original base, or choose another start"
                : config.quantization() == null ? ". Set quantize(Quantization.NF4), or choose another start"
                : ": an adapted " + node.type() + " cannot be quantised. Leave it out with exclude(\"" + node.name()
                + "\"), or choose another start";
        return new IllegalArgumentException("Layer \"" + node.name() + "\": LoRAInit.LOFTQ starts from the quantisation error of "
                + "W, but the layer is kept as " + storedAs + remedy);
    }

    /**
     * The part of W − Q(W) with the largest singular values. Further rounds would quantise another matrix than W, and every
     * adapter would need a base of its own.
     */
    private void prepareStart(Node node, String key, LoRASettings settings, FrozenWeights original, FrozenWeights quantized) {
        INDArray lost = quantized.lost(original, key);
        INDArray a = Nd4j.create(lost.dataType(), new long[] {lost.size(0), settings.rank()}, 'f');
        INDArray b = Nd4j.create(lost.dataType(), new long[] {settings.rank(), lost.size(1)}, 'f');
        long seed = config.seed() == null ? from.seed() : config.seed();
        settings.loraInit().take(lost, a, b, settings.factor(), settings.pissaIterations(), new Random(seed));
        starts.computeIfAbsent(node.name(), name -> new HashMap<>()).put(key, Map.of(Variant.A, a, Variant.B, b));
    }

    /** {@return what was computed for a node's adapters to start with, by key and part} */
    Map<String, Map<String, INDArray>> starts(Node node) {
        return starts.getOrDefault(node.name(), Map.of());
    }
}
