package io.github.dl4jlora.internal.rewrite;

import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.LoRAInit;
import io.github.dl4jlora.LoRASettings;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.base.StoredForm;
import io.github.dl4jlora.internal.frozen.FrozenRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.run.Kernels;
import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.layer.Engine;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * In what form an adapted network keeps the frozen weights of its base: as they are, a copy of them, or in fewer bits.
 */
final class Storing {

    private final Network<?> from;
    private final LoRAConfig config;
    /** What LoftQ starts with, by node and key: it is computed while the original values are at hand. */
    private final Map<String, Map<String, Map<String, INDArray>>> starts = new HashMap<>();

    Storing(Network<?> from, LoRAConfig config) {
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
        if (weights.scheme() != null && scheme != null && weights.scheme() != scheme) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\": quantize(" + scheme + ") was asked for, but the "
                    + "base keeps it as " + weights.scheme() + ". Leave quantize out, or quantise the original base");
        }
        if (scheme == null || weights.scheme() != null) {
            refuseLoftQ(node, decision, weights);
            return config.copyBase() ? weights.copied(node.name()) : weights;
        }
        List<StoredForm.Part> parts = runsQuantized(node, decision, config.engine()) ? parts(node) : null;
        if (parts == null) {
            refuseLoftQ(node, decision, weights);
            return weights.copied(node.name());
        }
        FrozenWeights quantized = quantized(node, weights, scheme, parts);
        startsFromLoss(node, decision).forEach((key, settings) -> prepareStart(node, key, settings, weights, quantized));
        return quantized;
    }

    private static FrozenWeights quantized(Node node, FrozenWeights weights, Quantization scheme, List<StoredForm.Part> parts) {
        try {
            return weights.quantized(scheme, parts);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" cannot be quantised: " + e.getMessage(), e);
        }
    }

    /** Whether what runs a node needs no array of its matrices. */
    static boolean runsQuantized(Node node, Plan.Decision decision, Engine engine) {
        if (node.layer() == null || node.numParams() == 0) {
            return false;
        }
        return switch (decision.role()) {
            case ADAPT -> Plan.DENSE.contains(node.unwrappedType())
                    || engine == Engine.FUSED && Kernels.exists(node.unwrappedLayer());
            case FREEZE_PASS, FREEZE_STOP -> FrozenRuntime.takesQuantized(node.unwrappedLayer());
            case TRAIN, TRAIN_BIAS, KEEP -> false;
        };
    }

    private List<StoredForm.Part> parts(Node node) {
        Trainable running = from.runtime(node.name());
        StockMatrices stock = node.matrices();
        Map<String, INDArray> table = running.paramTable(false);
        Map<String, INDArray> matrices = new HashMap<>();
        stock.forms().forEach((key, form) -> {
            INDArray matrix = form.viewOf(table.get(key));
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

    private void refuseLoftQ(Node node, Plan.Decision decision, FrozenWeights weights) {
        if (!starts.containsKey(node.name()) && !startsFromLoss(node, decision).isEmpty()) {
            String remedy = weights.scheme() != null
                    ? " and the original values are not at hand. Quantise the original base, or choose another start"
                    : config.quantization() == null ? ". Set quantize(Quantization.NF4), or choose another start"
                    : ": an adapted " + node.type() + " takes no fewer bits. Leave it out with exclude(\"" + node.name()
                    + "\"), or choose another start";
            throw new IllegalArgumentException("Layer \"" + node.name() + "\": LoRAInit.LOFTQ starts from what quantising loses "
                    + "of W, but the layer is kept as " + weights.storedAs() + remedy);
        }
    }

    /**
     * The part of W − Q(W) with the largest singular values. Further rounds would quantise another matrix than W, and every
     * adapter would need a base of its own.
     */
    private void prepareStart(Node node, String key, LoRASettings settings, FrozenWeights original, FrozenWeights quantized) {
        INDArray lost = quantized.lost(original, key);
        settings.checkFit("Layer \"" + node.name() + "\"", lost.size(0), lost.size(1), null);
        INDArray a = Nd4j.create(lost.dataType(), new long[] {lost.size(0), settings.rank()}, 'f');
        INDArray b = Nd4j.create(lost.dataType(), new long[] {settings.rank(), lost.size(1)}, 'f');
        long seed = config.seed() == null ? from.seed() : config.seed();
        settings.loraInit().take(lost, a, b, settings.factor(), settings.pissaIterations(), new Random(seed));
        starts.computeIfAbsent(node.name(), name -> new HashMap<>()).put(key, Map.of(Variant.A, a, Variant.B, b));
    }

    /** Gives an adapter what was computed for it. */
    void start(Node node, Adapter adapter) {
        starts.getOrDefault(node.name(), Map.of()).forEach(adapter::replace);
    }
}
