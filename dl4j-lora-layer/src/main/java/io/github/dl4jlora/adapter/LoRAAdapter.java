package io.github.dl4jlora.adapter;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.algebra.Geometry;
import io.github.dl4jlora.internal.common.Options;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.swap.Capture;
import io.github.dl4jlora.internal.swap.FittingConfig;
import io.github.dl4jlora.internal.swap.Swap;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.NullUnmarked;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * What training added to a base network: A and B of every adapted layer, and the values of layers that were trained in full. It
 * is separate from the base, and knows the content ids of the layers it belongs to. Immutable.
 *
 * <p>On disk it is PEFT's directory of two files, {@code adapter_model.safetensors} and {@code adapter_config.json},
 * from which PEFT computes the same function.
 *
 * <pre>{@code
 * LoRAAdapter.of(tuned).save(Path.of("adapter"));
 * LoRAAdapter adapter = LoRAAdapter.load(Path.of("adapter"));
 * ComputationGraph again = LoRA.apply(base, adapter);     // a new network with it
 * adapter.applyTo(tuned);                                 // or into an adapted one, in place of its own
 * System.out.println(adapter.layers() + ", ‖ΔW‖ of the first: " + adapter.norm(adapter.layers().get(0)));
 * }</pre>
 */
public final class LoRAAdapter {

    static {
        ContentAccess.register(adapter -> ((LoRAAdapter) adapter).content);
    }

    private final AdapterContent content;
    private final Geometry geometry;
    private final NothingLearned nothing;

    LoRAAdapter(AdapterContent content) {
        this.content = content;
        this.geometry = new Geometry(content);
        this.nothing = new NothingLearned(content);
    }

    /**
     * Copies the adapter out of a network.
     *
     * @param adapted a ComputationGraph or MultiLayerNetwork with adapted layers
     * @return the adapter, which shares no array with the network
     * @throws IllegalArgumentException if the network is not adapted
     * @throws IllegalStateException    if its base has changed since it was adapted, or its adapters are disabled or scaled
     */
    public static LoRAAdapter of(Model adapted) {
        return new LoRAAdapter(Capture.of(adapted));
    }

    /**
     * An adapter made from what full fine-tuning changed: {@code LoRAAdapter.extract(base, fineTuned).rank(8).build()}.
     *
     * @param base      a ComputationGraph or MultiLayerNetwork, not adapted; not changed
     * @param fineTuned the same network with other values, not adapted; not changed
     * @return a builder, still without a rank
     */
    public static Extraction extract(Model base, Model fineTuned) {
        return new Extraction(base, fineTuned);
    }

    /** {@return names of the adapted layers, in topological order; where a layer has several matrices, {@code layer.key}} */
    public List<String> layers() {
        return content.layers();
    }

    /**
     * {@return names of layers trained in full, or of modules ({@link io.github.dl4jlora.conf.TorchNames}); in topological
     * order}
     */
    public List<String> trainedLayers() {
        return content.trainedLayers();
    }

    /**
     * The rank of a layer's A and B.
     *
     * @param layer one of {@link #layers()}
     * @return at least 1
     * @throws NoSuchElementException if the adapter has no such layer
     */
    public int rank(String layer) {
        return content.delta(layer).rank();
    }

    /**
     * Content id of the frozen layer that A and B belong to; of a quantised layer, the original's. Empty if the file that A and
     * B came from does not say.
     *
     * @param layer one of {@link #layers()}
     * @return a SHA-256 in hexadecimal digits
     * @throws NoSuchElementException if the adapter has no such layer
     */
    public Optional<String> baseId(String layer) {
        return Optional.ofNullable(content.delta(layer).baseId());
    }

    /**
     * How the layer was adapted, as far as an adapter records it: rank, alpha and what it means, variant, start, dropout.
     *
     * @param layer one of {@link #layers()}
     * @return its settings
     * @throws NoSuchElementException if the adapter has no such layer
     */
    public LoRASettings settings(String layer) {
        return FittingConfig.settings(content.delta(layer), content.dropout());
    }

    /**
     * How the frozen layer was kept when A and B were trained; empty if the file that A and B came from does not say.
     *
     * @param layer one of {@link #layers()}
     * @return the name of a {@link io.github.dl4jlora.conf.Quantization}, or of a data type
     * @throws NoSuchElementException if the adapter has no such layer
     */
    public Optional<String> storedAs(String layer) {
        return Optional.ofNullable(content.delta(layer).storedAs());
    }

    AdapterContent content() {
        return content;
    }

    /**
     * What the adapter adds to a layer's weights: ΔW = s·A·B, less its start where that was taken from W.
     *
     * @param layer one of {@link #layers()}
     * @return a new array {@code [nIn, nOut]}, for a convolution {@code [nOut, nIn, kernel…]}
     * @throws NoSuchElementException   if the adapter has no such layer
     * @throws IllegalArgumentException for DoRA, which does more than add
     */
    public INDArray deltaWeight(String layer) {
        return geometry.deltaWeight(layer);
    }

    /**
     * This adapter without a start that is taken from W: where A and B started as a part of W, it gets twice the rank and the
     * same ΔW, and can be used on the base as it is, together with other adapters. PEFT's
     * {@code path_initial_model_for_weight_conversion}. Where nothing was taken from W, it is this adapter itself.
     *
     * @return an adapter for the same base
     * @throws IllegalArgumentException for DoRA that started from W, whose magnitude cannot be added, or a file that lacks the
     *                                  start
     */
    @SuppressWarnings("ReferenceEquality")
    public LoRAAdapter toPlainLoRA() {
        AdapterContent plain = geometry.plain();
        return plain == content ? this : new LoRAAdapter(plain);
    }

    /**
     * The Frobenius norm of ΔW, which is not formed.
     *
     * @param layer one of {@link #layers()}
     * @return at least 0
     * @throws NoSuchElementException   if the adapter has no such layer
     * @throws IllegalArgumentException for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public double norm(String layer) {
        return geometry.norm(layer);
    }

    /**
     * The singular values of ΔW, which is not formed: how many directions the adapter uses, and how strongly.
     *
     * @param layer one of {@link #layers()}
     * @return min(rank, nIn, nOut) values, the largest first
     * @throws NoSuchElementException   if the adapter has no such layer
     * @throws IllegalArgumentException for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public double[] spectrum(String layer) {
        return geometry.spectrum(layer);
    }

    /**
     * How many directions ΔW uses, weak ones counted less: exp(−Σ pᵢ·ln pᵢ) with pᵢ = σᵢ / Σ σ, the effective rank of Roy and
     * Vetterli 2007. If it is well below the rank, a smaller rank would do.
     *
     * @param layer one of {@link #layers()}
     * @return between 1 and min(rank, nIn, nOut); 0 if ΔW is zero
     * @throws NoSuchElementException   if the adapter has no such layer
     * @throws IllegalArgumentException for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public double effectiveRank(String layer) {
        return geometry.effectiveRank(layer);
    }

    /**
     * ‖ΔW‖ / ‖W‖, Frobenius norms: how far the adapter moves a layer from its base.
     *
     * @param layer one of {@link #layers()}
     * @param base  the network that the adapter was made for, not adapted
     * @return infinity if only W is zero, 0 if ΔW is
     * @throws NoSuchElementException   if the adapter or the network has no such layer
     * @throws IllegalArgumentException if the layer has another shape or content in the network than the adapter was made for;
     *                                  for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public double relativeNorm(String layer, Model base) {
        return geometry.relativeNorm(layer, base);
    }

    /**
     * The cosine of the angle between ΔW of a layer here and in another adapter, neither of which is formed: 1 for the
     * same direction, 0 for unrelated changes, −1 for opposite ones.
     *
     * @param layer of both adapters
     * @param other an adapter of the same base
     * @return between −1 and 1; 0 if one of the two is zero
     * @throws NoSuchElementException   if one of the adapters has no such layer
     * @throws IllegalArgumentException if the layers differ in shape, or for DoRA, which does more than add
     * @throws IllegalStateException    if a value of A or B is NaN, infinite, or too large to be squared
     */
    public double cosine(String layer, LoRAAdapter other) {
        return geometry.cosine(layer, other.geometry);
    }

    /**
     * As {@link #cosine(String, LoRAAdapter)}, of all layers together; one that an adapter lacks counts as unchanged by
     * it.
     *
     * @param other an adapter of the same base
     * @return between −1 and 1; 0 if one of the two is zero
     * @throws IllegalArgumentException if a layer differs in shape, or for DoRA, which does more than add
     * @throws IllegalStateException    if a value of A or B is NaN, infinite, or too large to be squared
     */
    public double cosine(LoRAAdapter other) {
        return geometry.cosine(other.geometry);
    }

    /**
     * A weighted combination of adapters of one base, PEFT's {@code add_weighted_adapter}:
     * {@code LoRAAdapter.combine(Combination.Method.CAT).add(spam, 0.7).add(tone, -0.3).build()}. A negative weight takes
     * a task away.
     *
     * @param method how A and B of several adapters become one A and one B
     * @return a builder, still without adapters
     */
    public static Combination combine(Combination.Method method) {
        return new Combination(method);
    }

    /**
     * The result of {@link #compress}: a smaller adapter, and what it lost by layer.
     *
     * @param adapter        layers above the rank have their ΔW replaced by the closest one of that rank, a truncated
     *                       singular value decomposition; the others are as they were
     * @param relativeErrors by layer: Frobenius norm of what was lost, divided by that of ΔW
     */
    public record Compressed(LoRAAdapter adapter, Map<String, Double> relativeErrors) {

        private static Compressed of(Geometry.Compressed found) {
            return new Compressed(new LoRAAdapter(found.adapter()), found.relativeErrors());
        }
    }

    /**
     * This adapter with no layer above a rank, and what that loses. To choose what may be lost instead, see
     * {@link #compressToEnergy}.
     *
     * @param rank the largest rank of a layer's A and B, at least 1
     * @return the closest adapter of that rank, with its error by layer
     * @throws IllegalArgumentException for a rank below 1, or for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public Compressed compress(int rank) {
        return Compressed.of(geometry.compress(rank));
    }

    /**
     * This adapter with the smallest rank of each layer that keeps a share of its energy, ‖ΔW‖², the sum of the squares of
     * its singular values. A relative error of ε is an energy of 1 − ε².
     *
     * @param energy above 0 and at most 1; 1 drops only what adds nothing to ΔW
     * @return the closest adapter of these ranks, with its error by layer
     * @throws IllegalArgumentException for an energy out of its range, or for DoRA, which does more than add
     * @throws IllegalStateException    if A or B holds NaN or infinity
     */
    public Compressed compressToEnergy(double energy) {
        return Compressed.of(geometry.compressToEnergy(energy));
    }

    /**
     * The configuration that makes a network for this adapter: every layer by name, with its rank and alpha.
     *
     * @return for {@code LoRA.apply(base, config)}, after which {@link #applyTo(Model)} fits. If the adapter started from
     *         gradients, only {@code LoRA.apply(base, adapter)} makes its network
     */
    public LoRAConfig config() {
        return FittingConfig.of(content);
    }

    /** Options of {@link #applyTo(Model, ApplyOption...)}. */
    public enum ApplyOption {

        /**
         * Begins with a new updater's state, and sets the counts of iterations and epochs to zero: momentum that belongs to
         * another task is forgotten.
         */
        RESET_UPDATER,

        /** Accepts a base other than the adapter's, with a warning that names the layers. Shapes must fit all the same. */
        FORCE,

        /**
         * Refuses a base that is kept in another way than when the adapter was trained, and one in fewer bits from which a start
         * that the adapter's file lacks would have to be taken; without this option there is a warning.
         */
        STRICT,

        /**
         * Leaves trained biases of the network as they are where the adapter, which was trained with fewer, has no values for
         * them. Without this option such a network is refused.
         */
        KEEP_BIASES
    }

    /**
     * Puts this adapter into a network in place of the one it has: a hot swap, nothing is rebuilt. Everything is
     * checked before the first value changes. The network must have this adapter's layers, ranks and variant, its start if that
     * was taken from W, its layers that train in full and its trained biases; alpha may differ. Updater state stays what it is,
     * except that {@link io.github.dl4jlora.conf.Accumulated Accumulated} begins a new group. A base that is kept in another way
     * than when the adapter was trained, such as INT8 or NF4, is allowed, with a warning.
     *
     * @param adapted a network that {@code LoRA.apply} made for this adapter, or for one like it
     * @throws IllegalArgumentException if the network differs from this adapter in any of that, or stands on another base
     * @throws IllegalStateException    if the network's base has changed since it was adapted
     */
    public void applyTo(Model adapted) {
        applyTo(adapted, new ApplyOption[0]);
    }

    /**
     * As {@link #applyTo(Model)}, with options.
     *
     * @param adapted a network that {@code LoRA.apply} made for this adapter, or for one like it
     * @param options each at most once
     * @throws IllegalArgumentException as there, except for what the options allow; and for what {@link ApplyOption#STRICT}
     *                                  refuses
     * @throws IllegalStateException    if the network's base has changed since it was adapted
     */
    public void applyTo(Model adapted, ApplyOption... options) {
        Set<ApplyOption> chosen = Options.of(options);
        AdapterContent applied = chosen.contains(ApplyOption.KEEP_BIASES) ? Capture.withBiasesOf(adapted, content) : content;
        Swap.into(adapted, applied, chosen.contains(ApplyOption.FORCE), chosen.contains(ApplyOption.STRICT),
                chosen.contains(ApplyOption.RESET_UPDATER));
        nothing.warn("applied");
    }

    @Override
    public String toString() {
        return "LoRAAdapter(layers=" + layers() + ", trainedLayers=" + trainedLayers() + ")";
    }

    /**
     * Writes PEFT's two files into a folder, as {@link AdapterSaver#save(Path, SaveOption...)}. <b>An existing adapter is
     * replaced</b>, whatever network it is for; other files stay.
     *
     * @param folder  new, empty, or with an adapter that is replaced if the options allow it
     * @param options each at most once
     * @throws IOException              if the folder cannot be written to, or has files that the options forbid to replace
     * @throws IllegalArgumentException if such files have no way to say what the adapter is
     * @throws IllegalStateException    if a value is NaN or infinite
     */
    public void save(Path folder, SaveOption... options) throws IOException {
        saver().save(folder, options);
    }

    /** {@return a saver, which writes PEFT's two files, also to a stream, under the layers' names unless told otherwise} */
    public AdapterSaver saver() {
        return new AdapterSaver(content, nothing);
    }

    /**
     * Reads PEFT's two files.
     *
     * @param folder with {@code adapter_model.safetensors} and {@code adapter_config.json}
     * @return the adapter; its layers have the names of PyTorch's modules
     * @throws AdapterFormatException if a file is missing, broken, of another kind, or asks for something that is not
     *                                supported
     * @throws IOException            if a file cannot be read
     */
    public static LoRAAdapter load(Path folder) throws IOException {
        return loader().load(folder);
    }

    /**
     * {@return a loader, which reads PEFT's two files with options: strict, and with the modules' names, unless told otherwise}
     */
    public static Loader loader() {
        return new Loader();
    }

    /** The {@link AdapterLoader} that {@link #loader} returns; the name is that of 0.1.0. */
    public static final class Loader extends AdapterLoader {

        private Loader() {
        }

        @Override
        @NullUnmarked // A mapper takes no null, but may give it: both kinds of type must fit.
        public Loader keyMapper(UnaryOperator<String> mapper) {
            return (Loader) super.keyMapper(mapper);
        }

        @Override
        public Loader strict(boolean strict) {
            return (Loader) super.strict(strict);
        }
    }
}
