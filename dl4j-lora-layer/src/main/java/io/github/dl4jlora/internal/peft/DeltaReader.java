package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Budget;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalDouble;

/** Reads the adapted layers of a PEFT folder, whose tensors have been found already. */
final class DeltaReader {

    private static final Logger LOG = LoggerFactory.getLogger(AdapterContent.LOGGER);

    private final PeftFolder folder;
    private final Safetensors tensors;
    private final Provenance provenance;
    private final PeftConfig config;
    private final Budget budget;

    /** @param folder for messages */
    DeltaReader(PeftFolder folder, Safetensors tensors, Provenance provenance, PeftConfig config, Budget budget) {
        this.folder = folder;
        this.tensors = tensors;
        this.provenance = provenance;
        this.config = config;
        this.budget = budget;
    }

    /**
     * @param extra parts beside A and B, by layer
     * @return at least one, by the module's name
     * @throws AdapterFormatException if a layer's tensors do not fit each other, or the configuration
     */
    Map<String, Delta> deltas(TensorIndex index, Map<String, Map<ExtraPart, INDArray>> extra) throws IOException {
        if (index.layers().isEmpty()) {
            throw new AdapterFormatException(folder + ": there is no layer with both lora_A and lora_B");
        }
        Map<String, Delta> deltas = new LinkedHashMap<>();
        for (String layer : index.layers()) {
            deltas.put(layer, delta(layer, index.a(layer), index.b(layer), extra.getOrDefault(layer, Map.of())));
        }
        return deltas;
    }

    private Delta delta(String layer, String nameOfA, String nameOfB, Map<ExtraPart, INDArray> extra)
            throws IOException {
        Kind kind = KindNames.of(config.init(), config.useDora(), provenance.variant(layer), provenance.init(layer));
        int rank = config.rankOf(layer, budget);
        long[] shapeA = tensors.shape(nameOfA);
        long[] shapeB = tensors.shape(nameOfB);
        TensorLayout layout = TensorLayout.of(layer, nameOfA.endsWith(TensorLayout.EMBEDDING.nameOfA()), shapeA, shapeB);
        if (layout.equals(TensorLayout.LINEAR) && (provenance.isInByOut(layer) || config.fanInFanOut() && !config.isOurs())) {
            layout = TensorLayout.CONV1D;
        }
        if (shapeA[0] != rank || shapeB[1] != rank) {
            requireNotGrouped(layer, layout, rank, shapeA[0], shapeB[1]);
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has rank " + rank + " in " + PeftFolder.CONFIG
                    + ", but lora_A has the shape " + Arrays.toString(shapeA) + " and lora_B " + Arrays.toString(shapeB)
                    + ". Save the adapter again, or correct r or rank_pattern");
        }
        Scaling scaling = provenance.scaling(folder, layer)
                .orElse(config.useRsLora() ? Scaling.ALPHA_OVER_SQRT_RANK : Scaling.ALPHA_OVER_RANK);
        double alpha = alpha(layer, rank, scaling);
        if (layout.embedding()) {
            // PEFT starts it at random whatever the word for its linear layers is.
            kind = KindNames.of(null, config.useDora(), provenance.variant(layer), provenance.init(layer));
        }
        requireStartOf(layer, kind, extra);
        if (extra.containsKey(ExtraPart.START_A) && provenance.isInFewerBits(layer)) {
            kind = kind.elsewhere();
        }
        Map<String, INDArray> more = new LinkedHashMap<>();
        extra.forEach((part, value) -> more.put(part.key(), value));
        Delta delta = new Delta(layout.a(tensors.read(nameOfA)), layout.b(tensors.read(nameOfB)), alpha, scaling,
                provenance.baseId(layer), layout, more, kind, provenance.storedAs(layer), provenance.isCut(layer));
        Kind doubled = provenance.doubled(folder, layer, kind.variant());
        return doubled == null || rank % 2 != 0 || kind.isDora() || kind.init().isTakenFromW() ? delta
                : delta.split(doubled.elsewhere());
    }

    /**
     * The alpha that, under the recorded scaling, gives the factor that PEFT computes: exactly the one that was saved,
     * where lora_alpha is still what was written for it, since dividing by the rank again would round.
     */
    private double alpha(String layer, int rank, Scaling scaling) throws AdapterFormatException {
        double loraAlpha = config.alphaOf(layer, budget);
        OptionalDouble recorded = provenance.alpha(folder, layer);
        boolean stillSame = recorded.isPresent()
                && LoraAlpha.ofAlpha(recorded.getAsDouble(), scaling, rank, config.useRsLora()) == loraAlpha;
        double alpha = stillSame ? recorded.getAsDouble() : LoraAlpha.toAlpha(loraAlpha, scaling, rank, config.useRsLora());
        double factor = scaling.factor(alpha, rank);
        if (factor == 0 || Math.abs(factor) > Scaling.LARGEST_FACTOR) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has a lora_alpha out of range, " + loraAlpha
                    + ", which makes the factor " + factor + ", but a factor must not be 0 or above " + Scaling.LARGEST_FACTOR
                    + ". Save the adapter with another lora_alpha");
        }
        return alpha;
    }

    private void requireNotGrouped(String layer, TensorLayout layout, int rank, long rankOfA, long rankOfB)
            throws AdapterFormatException {
        if (!layout.kernel().isEmpty() && rankOfA == rank && rank % rankOfB == 0) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" is a grouped convolution of " + rank / rankOfB
                    + " groups, which is not supported: DL4J has none. Merge the adapter in Python");
        }
        if (rankOfA == rankOfB && rankOfA % rank == 0 && !config.targetParameters().isEmpty()) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" is one of target_parameters and stacks "
                    + rankOfA / rank + " matrices; only parameters of two dimensions are supported");
        }
    }

    private void requireStartOf(String layer, Kind kind, Map<ExtraPart, INDArray> extra) throws IOException {
        boolean recorded = extra.containsKey(ExtraPart.START_A);
        if (recorded && !kind.init().isTakenFromW()) {
            throw new AdapterFormatException(folder + ": layer \"" + layer + "\" has initial_A and initial_B, but according to "
                    + "init_lora_weights its A and B did not start from W");
        }
        if (!recorded && kind.init() == LoRAInit.PISSA && kind.pissaIterations() > 0) {
            LOG.warn("{}: layer \"{}\" started from a randomised decomposition of W that the file does not hold. The start "
                    + "computed here differs slightly from PEFT's; to get exactly the same function, convert the adapter in PEFT "
                    + "with path_initial_model_for_weight_conversion", folder, layer);
        }
    }
}
