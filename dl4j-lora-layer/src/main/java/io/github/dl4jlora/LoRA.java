package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter.ApplyOption;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.base.MappedFile;
import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.build.BaseAttachment;
import io.github.dl4jlora.internal.build.Recomputation;
import io.github.dl4jlora.internal.common.NamePattern;
import io.github.dl4jlora.internal.common.Options;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.cost.TrainingCost;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.file.MappedBase;
import io.github.dl4jlora.internal.file.NetworkFile;
import io.github.dl4jlora.internal.inspect.DisabledScopes;
import io.github.dl4jlora.internal.inspect.Packs;
import io.github.dl4jlora.internal.inspect.Scales;
import io.github.dl4jlora.internal.inspect.Summaries;
import io.github.dl4jlora.internal.keras.StreamedKeras;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.start.DataPass;
import io.github.dl4jlora.internal.start.StartSearch;
import io.github.dl4jlora.internal.stored.ModelZip;
import io.github.dl4jlora.internal.stored.StreamedBase;
import io.github.dl4jlora.internal.stored.StreamedModel;
import io.github.dl4jlora.internal.undo.Unadaptation;
import io.github.dl4jlora.report.LoRAPlan;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Adapts trained networks: the base is frozen, DL4J's own trainer updates low-rank adapters, and a merge gives stock classes
 * back.
 *
 * <p>With {@link FrozenStorage#SHARED}, the default, an adapted network holds views of the base's arrays, not copies. From then
 * on the base is for inference only. If it is trained, overwritten or closed all the same, {@code merge}, {@code unload},
 * {@code save}, {@code attach} and adapter export notice, and refuse with the name of the layer.
 *
 * <pre>{@code
 * LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
 *         .updater(new Adam(1e-3)).build();
 * ComputationGraph tuned = LoRA.apply(base, config);
 * tuned.fit(examples, 5);                               // DL4J's own trainer
 * System.out.println(LoRA.summary(tuned));              // what trains, by layer
 * LoRAAdapter.of(tuned).save(Path.of("adapter"));       // what was learned
 * ComputationGraph stock = LoRA.merge(tuned);           // does not need this library
 * }</pre>
 */
public final class LoRA {

    private LoRA() {
    }

    /**
     * Makes an adapted network from a trained one. The result computes what the base computes until it is trained (with
     * {@code quantize}, but for what that loses). It starts at iteration 0 and epoch 0, with new updater state, so that schedules
     * and Adam's bias correction start anew. ND4J's random generator is left as it was.
     *
     * @param base   trained; not changed
     * @param config which layers are adapted, and how
     * @return an adapted network
     * @throws IllegalArgumentException if either is null, if the network is not initialised or adapted already, if a pattern
     *                                  matches nothing or a layer that cannot be adapted; the message names what there is
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config) {
        return Adaptation.apply(base, config);
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig)}.
     *
     * @param base   trained; not changed
     * @param config which layers are adapted, and how
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config) {
        return Adaptation.apply(base, config);
    }

    /**
     * Makes an adapted network with the adapter's own configuration and values.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @return an adapted network
     * @throws IllegalArgumentException if either is null, or the adapter was made for another base
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAAdapter adapter) {
        return with(base, given(adapter));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAAdapter)}.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAAdapter adapter) {
        return with(base, given(adapter));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAAdapter)}, with options: {@link ApplyOption#FORCE} takes another base than the
     * adapter's, {@link ApplyOption#STRICT} refuses one that is kept in another way. The others change nothing for a new
     * network.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @param options each at most once
     * @return an adapted network
     * @throws IllegalArgumentException as there, except for what the options allow; and for what STRICT refuses
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAAdapter adapter, ApplyOption... options) {
        return with(base, given(adapter), options);
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAAdapter, ApplyOption...)}.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @param options each at most once
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAAdapter adapter, ApplyOption... options) {
        return with(base, given(adapter), options);
    }

    private static <M extends Model> M with(M base, LoRAAdapter adapter, ApplyOption... options) {
        Set<ApplyOption> all = EnumSet.of(ApplyOption.KEEP_BIASES);
        all.addAll(Options.of(options));
        M adapted = Adaptation.applyOfAdapter(base, adapter.config());
        // Where a file of PEFT's with bias "all" has no bias, the module had none, and the base's stays.
        adapter.applyTo(adapted, all.toArray(ApplyOption[]::new));
        return adapted;
    }

    /**
     * Makes an adapted network with the adapter's values; a configuration says how it is trained and kept. From the adapter
     * come rank, alpha, scaling, variant, start and which layers are adapted or trained in full. From the configuration, as
     * they stand and defaults included, come {@code updater}, {@code l1}, {@code l2}, {@code weightDecay}, {@code loraDropout},
     * {@code loraPlusRatio}, {@code engine}, {@code seed} (of a start that the adapter's file lacks), {@code keepCounts},
     * {@code storage}, {@code copyBase}, {@code baseLocation}, {@code quantize}, {@code pack}, {@code recompute} and
     * {@code bias}. More biases may train than in the adapter: those for which it has no values start as the base's. If
     * {@code bias} is left at {@link BiasTraining#NONE}, the adapter's setting counts.
     *
     * <p>All other settings must be at their defaults or agree with the adapter: patterns and types must choose its layers.
     * {@code adapter.config().toBuilder()} starts a configuration that fits.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @param config  how to train it further
     * @return an adapted network
     * @throws IllegalArgumentException if one is null, the adapter was made for another base, or the configuration contradicts
     *                                  it; the message names the setting, the layer and both values
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAAdapter adapter, LoRAConfig config) {
        return trainedAs(base, given(adapter), config);
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAAdapter, LoRAConfig)}.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @param config  how to train it further
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAAdapter adapter, LoRAConfig config) {
        return trainedAs(base, given(adapter), config);
    }

    private static <M extends Model> M trainedAs(M base, LoRAAdapter adapter, LoRAConfig config) {
        M adapted = Adaptation.applyOfAdapter(base, adapter.config(), config);
        boolean lacksStart = ContentAccess.of(adapter).deltas().values().stream().anyMatch(Delta::lacksStart);
        // What it took from W is not what Q(W) gives, and here W is at hand.
        LoRAAdapter whole = lacksStart && config.quantization() != null
                ? LoRAAdapter.of(trainedAs(base, adapter, config.toBuilder().quantize(null).build())) : adapter;
        whole.applyTo(adapted, ApplyOption.KEEP_BIASES);
        return adapted;
    }

    private static LoRAAdapter given(LoRAAdapter adapter) {
        if (adapter == null) {
            throw new IllegalArgumentException("The adapter is null: give one that LoRAAdapter.load or LoRAAdapter.of returned");
        }
        return adapter;
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig)}, for {@link LoRAInit#EVA} and {@link LoRAInit#LORA_GA}, which start
     * from data, and for {@code rankBudget}.
     *
     * <p>The base computes on batches from the beginning of the data, with all layers frozen and in test mode, so without
     * dropout. EVA uses the layers' inputs until its components have converged; LoRA-GA uses the gradients of the first 8
     * batches, or of as many as {@code startBatches} says. Masked steps and rows do not count. Afterwards the data is at its
     * beginning again. Neither base nor ND4J's random generator is changed.
     *
     * @param base   trained; not changed
     * @param config with a start from data
     * @param data   of the task, as for training; for EVA labels may be missing
     * @return an adapted network
     * @throws IllegalArgumentException as there; if no start needs data, or a start is not for a layer of that type; if the
     *                                  iterator is null, empty or cannot be reset, has NaN or infinity in it, or has no labels
     *                                  where a gradient is needed; if a layer's inputs do not vary, or its gradient is zero
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, DataSetIterator data) {
        return StartSearch.apply(base, config, DataPass.over(data, null));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig, DataSetIterator)}, and reports its progress.
     *
     * @param base     trained; not changed
     * @param config   with a start from data
     * @param data     of the task
     * @param progress gets a line after each batch: {@code EVA: 12 of 18 layers converged after 5 batches}
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, DataSetIterator data,
            Consumer<String> progress) {
        return StartSearch.apply(base, config, DataPass.over(data, progress));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig, DataSetIterator)}.
     *
     * @param base   trained; not changed
     * @param config with a start from data
     * @param data   of the task
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, MultiDataSetIterator data) {
        return StartSearch.apply(base, config, DataPass.over(data, null));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig, DataSetIterator, Consumer)}.
     *
     * @param base     trained; not changed
     * @param config   with a start from data
     * @param data     of the task
     * @param progress gets a line after each batch
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config, MultiDataSetIterator data,
            Consumer<String> progress) {
        return StartSearch.apply(base, config, DataPass.over(data, progress));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig, DataSetIterator)}.
     *
     * @param base   trained; not changed
     * @param config with a start from data
     * @param data   of the task
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config, DataSetIterator data) {
        return StartSearch.apply(base, config, DataPass.over(data, null));
    }

    /**
     * As {@link #apply(ComputationGraph, LoRAConfig, DataSetIterator, Consumer)}.
     *
     * @param base     trained; not changed
     * @param config   with a start from data
     * @param data     of the task
     * @param progress gets a line after each batch
     * @return an adapted network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config, DataSetIterator data,
            Consumer<String> progress) {
        return StartSearch.apply(base, config, DataPass.over(data, progress));
    }

    /**
     * Makes a network for inference from a trained one, on the same weights: every layer that has parameters is frozen, as
     * {@link #apply apply} freezes layers that it does not adapt, so that dense, recurrent and attention layers and convolutions
     * take less time. It computes what the network computes in test mode. {@code params()} is empty; {@code fit} and
     * {@code pretrain} refuse.
     * {@link #apply apply} and this method treat it as the network that it was made from; {@link #merge merge} gives a stock
     * network on a copy of the weights.
     *
     * @param network trained; not changed
     * @return a frozen network
     * @throws IllegalArgumentException if it is null, not initialised, adapted, or has no parameters
     */
    public static ComputationGraph freeze(ComputationGraph network) {
        return Adaptation.freeze(network, null);
    }

    /**
     * As {@link #freeze(ComputationGraph)}.
     *
     * @param network trained; not changed
     * @return a frozen network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork freeze(MultiLayerNetwork network) {
        return Adaptation.freeze(network, null);
    }

    /**
     * As {@link #freeze(ComputationGraph)}, on a copy of the weights whose matrices are kept in fewer bits.
     *
     * @param network trained; not changed, and not needed afterwards
     * @param scheme  how they are kept
     * @return a frozen network
     * @throws IllegalArgumentException if a weight is NaN or infinite, and as there
     */
    public static ComputationGraph freeze(ComputationGraph network, Quantization scheme) {
        return Adaptation.freeze(network, scheme);
    }

    /**
     * As {@link #freeze(ComputationGraph, Quantization)}.
     *
     * @param network trained; not changed, and not needed afterwards
     * @param scheme  how they are kept
     * @return a frozen network
     * @throws IllegalArgumentException as there
     */
    public static MultiLayerNetwork freeze(MultiLayerNetwork network, Quantization scheme) {
        return Adaptation.freeze(network, scheme);
    }

    /** Something that lasts until it is closed; closing twice does nothing. */
    public interface Scope extends AutoCloseable {

        @Override
        void close();
    }

    /**
     * A scope in which the network computes what its base computes, bit for bit:
     * {@code try (LoRA.Scope base = LoRA.disabled(tuned)) { … }}. Training, merging, saving and exporting the adapter are
     * refused in it. Scopes may be nested; the adapters are back when the last one is closed.
     *
     * <p>Layers that are trained in full compute with the base's values in it, a copy of which takes memory meanwhile; layers
     * that were added since the network was adapted stay as they are. Copies and files that DL4J makes of the network in a scope
     * have what was learned.
     *
     * @param adapted an adapted network
     * @return the scope, which ends when it is closed
     * @throws IllegalArgumentException if the network has no adapted layer
     * @throws IllegalStateException    if it has layers that are trained in full, and the base's values for them are not
     *                                  available, as for {@link #unload(ComputationGraph)}; if such a layer is no
     *                                  {@code BaseLayer} of DL4J's, or TransferLearning froze a layer beside it
     */
    public static Scope disabled(Model adapted) {
        return DisabledScopes.open(adapted)::run;
    }

    /**
     * A scope in which every adapted layer's change is multiplied by a factor, PEFT's {@code rescale_adapter_scale}:
     * {@code try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) { … }}. When the scope is closed, the network computes the same
     * as before, bit for bit. The factors of nested scopes, and of {@link #setScale setScale}, are multiplied; inside
     * {@link #disabled disabled} there is nothing left to scale.
     *
     * <p>ΔW is scaled, so that 0 gives the base, but for DoRA, which keeps its magnitudes: use {@link #disabled disabled} there.
     * Trained biases and layers that are trained in full stay as they are.
     * {@code fit} trains the scaled function; {@link #merge merge} merges it. {@link #save save} and
     * {@link LoRAAdapter#of LoRAAdapter.of} are refused, and copies that DL4J makes by {@code clone}, by ModelSerializer or as
     * replicas are not scaled: files have no place for the factor.
     *
     * @param adapted an adapted network
     * @param factor  finite; 1 leaves the adapter as it is, 0 removes its effect, a negative factor reverses it
     * @return the scope, which ends when it is closed
     * @throws IllegalArgumentException if the factor is NaN or infinite, or the network has no adapted layer
     * @throws IllegalStateException    if DL4J's FrozenVertex hides an adapted vertex
     */
    public static Scope rescaled(Model adapted, double factor) {
        return Scales.open(adapted, factor)::run;
    }

    /**
     * Multiplies the change of some layers by a factor from now on, PEFT's {@code set_scale}. All that {@link #rescaled rescaled}
     * says applies. The factor is relative to the adapter's own scaling, not to what was set before: 1 undoes it.
     *
     * @param adapted an adapted network
     * @param layers  a regular expression of a whole layer name, or of a parameter's as {@code name/key}, like one of
     *                {@code LoRAConfig.targets}; layers that it does not match keep their factors
     * @param factor  finite
     * @throws IllegalArgumentException if the factor is NaN or infinite, or if the pattern is no regular expression or matches
     *                                  nothing that is adapted
     * @throws IllegalStateException    if DL4J's FrozenVertex hides an adapted vertex
     */
    public static void setScale(Model adapted, String layers, double factor) {
        setScale(adapted, Collections.singletonMap(layers, factor));
    }

    /**
     * As {@link #setScale(Model, String, double)}, for several patterns. All are checked before the first layer is scaled.
     *
     * @param adapted an adapted network
     * @param factors by pattern
     * @throws IllegalArgumentException as there, and if two patterns give one parameter different factors
     * @throws IllegalStateException    if DL4J's FrozenVertex hides an adapted vertex
     */
    public static void setScale(Model adapted, Map<String, Double> factors) {
        Map<Pattern, Double> compiled = new LinkedHashMap<>();
        factors.forEach((pattern, factor) -> compiled.put(NamePattern.of("setScale", pattern), factor));
        Scales.set(adapted, compiled);
    }

    /**
     * Lets an adapted or frozen network use packed copies of its frozen matrices from now on, as
     * {@link LoRAConfig.Builder#pack LoRAConfig.Builder.pack} does: for networks that come from {@link #freeze freeze},
     * {@link #loadQuantized loadQuantized} or a mapped file. Saved configurations and what is made of the network keep it. Clones
     * that DL4J made of it share its frozen weights, and are packed with it.
     *
     * @param network adapted or frozen
     * @throws IllegalArgumentException if it has no frozen weights outside its parameter vector
     */
    public static void pack(Model network) {
        Packs.pack(network);
    }

    /**
     * Has a graph compute outputs again in the backward pass of a training step, from now on, as
     * {@link LoRAConfig.Builder#recompute LoRAConfig.Builder.recompute} does: for networks that come from a file, a clone or
     * DL4J's early stopping, none of which keeps this.
     *
     * @param network    adapted
     * @param boundaries regular expressions of whole names of layers and vertices whose outputs are kept; none: all are kept
     * @throws IllegalArgumentException if a pattern matches nothing, or what is between them cannot be computed again
     */
    public static void recompute(ComputationGraph network, String... boundaries) {
        Recomputation.set(Networks.of(network), Stream.of(boundaries).map(pattern -> NamePattern.of("recompute", pattern))
                .toList());
    }

    /**
     * {@return what trains and what does not, by layer; prints as a table}
     *
     * @param network stock or adapted
     */
    public static LoRASummary summary(Model network) {
        return Summaries.of(network);
    }

    /**
     * What {@code apply} would make of a network, and the memory that training it would take, compared with training the
     * network in full. Sizes are counted; nothing is computed or copied. The network and ND4J's random generator stay as they
     * are. Layers and vertices of your own are asked, if they are a {@link io.github.dl4jlora.footprint.TrainingFootprint};
     * otherwise they count as a layer that keeps its output. What {@code recompute} saves is counted where adapters train, not
     * in training of the network in full.
     *
     * @param base   trained; a ComputationGraph or MultiLayerNetwork
     * @param config which layers are adapted, and how
     * @param batch  examples of a training step
     * @param inputs one for each input of the network: what the configuration does not tell, such as the size of images, the
     *               length of sequences or the number of words or tokens, padding included; none where the configuration tells
     *               them
     * @return the plan; prints as a table
     * @throws IllegalArgumentException as {@code apply}, with the same message, except for weights that cannot be quantised,
     *                                  since no weights are read; also if the batch is empty, or an input is missing or does
     *                                  not fit: the message says what to give
     */
    public static LoRAPlan plan(Model base, LoRAConfig config, int batch, InputType... inputs) {
        return TrainingCost.of(base, config, batch, inputs);
    }

    /**
     * The largest rank that is of use to each layer that a configuration adapts: the smaller of its matrix's sides. A larger one
     * is allowed, and costs more than training the matrix.
     *
     * @param base   as {@code apply} takes it
     * @param config which layers are adapted; its own rank does not matter
     * @return min(nIn, nOut) by the name of the layer, of its smallest adapted matrix where there are several
     * @throws IllegalArgumentException as {@code apply}
     */
    public static Map<String, Long> largestRanks(Model base, LoRAConfig config) {
        return Adaptation.largestRanks(base, config);
    }

    /**
     * A stock network of the base's topology with W + s·A·B for weights, made of DL4J's own classes only. Neither the
     * adapted network nor the base changes. Iterations and epochs count from 0, and there is no updater state.
     * {@link #merging} merges some layers, or a part of ΔW.
     *
     * @param adapted an adapted network
     * @return a stock network
     * @throws IllegalStateException if the base has changed since it was adapted, a merged weight is NaN or infinite, or the
     *                               adapters are disabled
     */
    public static ComputationGraph merge(ComputationGraph adapted) {
        return Unadaptation.merge(adapted);
    }

    /**
     * As {@link #merge(ComputationGraph)}.
     *
     * @param adapted an adapted network
     * @return a stock network
     * @throws IllegalStateException as there
     */
    public static MultiLayerNetwork merge(MultiLayerNetwork adapted) {
        return Unadaptation.merge(adapted);
    }

    /**
     * A merge with options: of some layers only, of a part of ΔW, or a report on what rounding leaves of ΔW.
     * {@code LoRA.merging(tuned).layers("fc1").weight(0.7).merge()}.
     *
     * @param adapted an adapted network
     * @param <M>     the network type
     * @return a merge of all layers with a weight of 1, until it is told otherwise
     */
    public static <M extends Model> LoRAMerge<M> merging(M adapted) {
        return new LoRAMerge<>(adapted);
    }

    /**
     * A stock network of the base's topology without the adapters: what the base computes. Layers that were trained in full get
     * the base's values back; layers that were added since then stay. Iterations and epochs count from 0, and there is no updater
     * state.
     *
     * @param adapted an adapted network
     * @return a stock network
     * @throws IllegalStateException if the base has changed since it was adapted, or its values for a layer that was trained in
     *                               full are not available: with {@link FrozenStorage#EMBEDDED}, in networks of 0.1.0, and in a
     *                               JVM without the base
     */
    public static ComputationGraph unload(ComputationGraph adapted) {
        return Unadaptation.unload(adapted);
    }

    /**
     * As {@link #unload(ComputationGraph)}.
     *
     * @param adapted an adapted network
     * @return a stock network
     * @throws IllegalStateException as there
     */
    public static MultiLayerNetwork unload(MultiLayerNetwork adapted) {
        return Unadaptation.unload(adapted);
    }

    /**
     * Gives a network the base it was adapted from. This is for a network that DL4J's ModelSerializer restored, and for one
     * whose base has changed since: give it a copy of the base as it was. All layers are compared by content before the first
     * is attached. A network that was adapted with {@code copyBase(true)} copies the base. Clones that DL4J made of the network
     * share its frozen weights, and get the base with it.
     *
     * @param adapted an adapted network
     * @param base    the network it was adapted from
     * @throws IllegalArgumentException if either is null, or the base lacks a layer, or has other weights, another shape or
     *                                  another data type there
     * @throws IllegalStateException    if adapters started from data and took that start out of W ({@link LoRAInit#LORA_GA}),
     *                                  and the start is not in this JVM: ModelSerializer does not keep it, {@link #save save}
     *                                  does
     */
    public static void attach(ComputationGraph adapted, ComputationGraph base) {
        BaseAttachment.attach(adapted, base);
    }

    /**
     * As {@link #attach(ComputationGraph, ComputationGraph)}.
     *
     * @param adapted an adapted network
     * @param base    the network it was adapted from
     * @throws IllegalArgumentException as there
     * @throws IllegalStateException    as there
     */
    public static void attach(MultiLayerNetwork adapted, MultiLayerNetwork base) {
        BaseAttachment.attach(adapted, base);
    }

    /**
     * Writes one self-contained file: base, adapters and, if asked for, updater state. <b>An existing file is replaced</b>. The
     * new one appears whole or not at all; the old one stays until then. Missing folders are made.
     *
     * @param adapted     an adapted network
     * @param path        of the file
     * @param saveUpdater whether updater state goes into it
     * @throws IllegalStateException if the base has changed since it was adapted, or the adapters are disabled or scaled
     * @throws IOException           if the file cannot be written
     */
    public static void save(Model adapted, Path path, boolean saveUpdater) throws IOException {
        save(adapted, path, saveUpdater, new SaveOption[0]);
    }

    /**
     * As {@link #save(Model, Path, boolean)}, with options.
     *
     * @param adapted     an adapted network
     * @param path        of the file
     * @param saveUpdater whether updater state goes into it
     * @param options     each at most once
     * @throws IllegalStateException if the base has changed since it was adapted, or the adapters are disabled or scaled
     * @throws IOException           if the file cannot be written; a {@link java.nio.file.FileAlreadyExistsException} if it
     *                               exists and {@link SaveOption#NEW_ONLY} is given
     */
    public static void save(Model adapted, Path path, boolean saveUpdater, SaveOption... options) throws IOException {
        Objects.requireNonNull(path, "The path to save to is null");
        DisabledScopes.requireNone(adapted, "LoRA.save");
        Scales.requireNone(adapted, "LoRA.save");
        NetworkFile.save(adapted, BaseValues.everythingFrozen(adapted), path, saveUpdater, options);
    }

    /**
     * Reads a file that {@link #save save} wrote, even if it has been packed anew. The network stands on the file's own values.
     * It shares them with other networks that are loaded from such a file, and with nothing that could train or close them.
     *
     * @param path of the file
     * @return the network that was saved
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static ComputationGraph loadComputationGraph(Path path) throws IOException {
        return as(ComputationGraph.class, load(path), path, "LoRA.loadMultiLayerNetwork");
    }

    /**
     * As {@link #loadComputationGraph loadComputationGraph}.
     *
     * @param path of the file
     * @return the network that was saved
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static MultiLayerNetwork loadMultiLayerNetwork(Path path) throws IOException {
        return as(MultiLayerNetwork.class, load(path), path, "LoRA.loadComputationGraph");
    }

    private static <T extends Model> T as(Class<T> type, Model network, Path path, String other) throws IOException {
        if (!type.isInstance(network)) {
            throw new IOException(path + " holds a " + network.getClass().getSimpleName() + ": use " + other);
        }
        return type.cast(network);
    }

    /**
     * As {@link #loadComputationGraph loadComputationGraph}, for whichever of the two network types the file holds.
     *
     * @param path of the file
     * @return the network that was saved
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static Model load(Path path) throws IOException {
        refuseMapped(Objects.requireNonNull(path, "The path to load from is null"));
        return Adaptation.restored(NetworkFile.load(path));
    }

    /**
     * Reads a file that DL4J's ModelSerializer wrote, as ModelSerializer would: a stock network or a checkpoint of an adapted
     * one, with its iteration and epoch counts. Unlike ModelSerializer it compares what the file claims with what the file
     * holds before it takes memory, and deserialises no Java object: {@code preprocessor.bin}, which is one, is left out with a
     * warning in the log. So the file may come from anybody. Its layers are of classes that are on the class path.
     *
     * <p>A checkpoint looks for the frozen weights that it stands on when it first computes: see
     * {@link #attach(ComputationGraph, ComputationGraph)}.
     *
     * @param path        of the file
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return a ComputationGraph or a MultiLayerNetwork, whichever the file holds
     * @throws IOException if the file is missing, truncated, damaged or of another kind, or promises more than it holds; the
     *                     message names it
     */
    public static Model restore(Path path, boolean loadUpdater) throws IOException {
        refuseMapped(Objects.requireNonNull(path, "The path to restore from is null"));
        if (isSelfContained(path)) {
            throw new IOException(path + " was written by LoRA.save: read it with LoRA.load, which also reads its base");
        }
        return Adaptation.restored(ModelZip.restore(NetworkFile.onDisk(path), loadUpdater));
    }

    /**
     * {@return whether a file was written by {@link #save save}, and so has the weights that its network stands on}
     *
     * @param path of the file
     * @throws IOException if it is missing, truncated, damaged or no zip file; the message names it
     */
    public static boolean isSelfContained(Path path) throws IOException {
        return NetworkFile.isSelfContained(NetworkFile.onDisk(Objects.requireNonNull(path, "The path is null")));
    }

    /**
     * As {@link #restore restore}, of a ComputationGraph.
     *
     * @param path        of the file
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return the network that was written
     * @throws IOException as there, and if the file holds a MultiLayerNetwork
     */
    public static ComputationGraph restoreComputationGraph(Path path, boolean loadUpdater) throws IOException {
        return as(ComputationGraph.class, restore(path, loadUpdater), path, "LoRA.restoreMultiLayerNetwork");
    }

    /**
     * As {@link #restore restore}, of a MultiLayerNetwork.
     *
     * @param path        of the file
     * @param loadUpdater whether to restore the updater's state too, where the file has it
     * @return the network that was written
     * @throws IOException as there, and if the file holds a ComputationGraph
     */
    public static MultiLayerNetwork restoreMultiLayerNetwork(Path path, boolean loadUpdater) throws IOException {
        return as(MultiLayerNetwork.class, restore(path, loadUpdater), path, "LoRA.restoreComputationGraph");
    }

    /**
     * Reads the normalizer that lies beside a network in a file of {@link #save save} or DL4J's ModelSerializer, where
     * {@code ModelSerializer.addNormalizerToModel} puts it. Like {@link #restore restore}, it trusts nothing that the file
     * claims: a normalizer of a user's own class, or one that Java serialised, is refused.
     *
     * @param path of the file
     * @return the normalizer of the data that the network was trained on; empty if there is none
     * @throws IOException if the file is missing, truncated, damaged or no zip file, or the normalizer of a kind that is not
     *                     read; the message names the file
     */
    public static Optional<Normalizer<?>> restoreNormalizer(Path path) throws IOException {
        Objects.requireNonNull(path, "The path to restore from is null");
        return Optional.ofNullable(ModelZip.normalizer(NetworkFile.onDisk(path)));
    }

    /**
     * Reads a base network and adapts it, layer by layer. Memory is taken by the values in fewer bits, and by the largest layer
     * as it was. In all else it is as {@link #apply(MultiLayerNetwork, LoRAConfig)}.
     *
     * @param path   of a file that DL4J's ModelSerializer wrote, or of one that Keras wrote, for which
     *               {@code deeplearning4j-modelimport} must be on the class path
     * @param config with {@code quantize}
     * @return an adapted network, a ComputationGraph or a MultiLayerNetwork
     * @throws IllegalArgumentException if the configuration is null or does not say quantize, and as there
     * @throws IOException              if the file is missing, truncated, damaged or of another kind
     */
    public static Model loadQuantized(Path path, LoRAConfig config) throws IOException {
        requireQuantized(config, "restore it with LoRA.restore");
        return Adaptation.apply(stream(path), config);
    }

    private static void requireQuantized(LoRAConfig config, String asItIs) {
        if (config == null || config.quantization() == null) {
            throw new IllegalArgumentException("LoRA.loadQuantized needs a LoRAConfig that sets quantize, for example "
                    + "quantize(Quantization.INT8). To keep the base as it is, " + asItIs + " and call LoRA.apply");
        }
    }

    /**
     * As {@link #loadQuantized(Path, LoRAConfig)}, for values that come from elsewhere.
     *
     * @param base   read once
     * @param config with {@code quantize}
     * @param <M>    the network type
     * @return an adapted network
     * @throws IllegalArgumentException if the configuration is null or does not say quantize, and as there
     * @throws IOException              as thrown by the source
     */
    public static <M extends Model> M loadQuantized(BaseSource<M> base, LoRAConfig config) throws IOException {
        requireQuantized(config, "take the source's network()");
        return of(base, streamed -> Adaptation.apply(streamed, config));
    }

    /**
     * As {@link #loadQuantized(Path, LoRAConfig)}, without adapters: gives a frozen network, as
     * {@link #freeze(MultiLayerNetwork, Quantization)} does.
     *
     * @param path   as there
     * @param scheme how matrices are kept
     * @return a frozen network
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static Model loadQuantized(Path path, Quantization scheme) throws IOException {
        Objects.requireNonNull(scheme, "The scheme is null; give one, for example Quantization.INT8");
        return Adaptation.freeze(stream(path), scheme);
    }

    /**
     * As {@link #loadQuantized(Path, Quantization)}, for values that come from elsewhere.
     *
     * @param base   read once
     * @param scheme how matrices are kept
     * @param <M>    the network type
     * @return a frozen network
     * @throws IOException as thrown by the source
     */
    public static <M extends Model> M loadQuantized(BaseSource<M> base, Quantization scheme) throws IOException {
        Objects.requireNonNull(scheme, "The scheme is null; give one, for example Quantization.INT8");
        return of(base, streamed -> Adaptation.freeze(streamed, scheme));
    }

    /** Makes a network from values that are read layer by layer. */
    @FunctionalInterface
    private interface Making {
        Model of(StreamedBase base) throws IOException;
    }

    /** A network that is made from a source's configuration is of the source's type. */
    @SuppressWarnings("unchecked")
    private static <M extends Model> M of(BaseSource<M> base, Making making) throws IOException {
        return (M) making.of(Objects.requireNonNull(base, "The source of the base is null").streamed());
    }

    private static StreamedBase stream(Path path) throws IOException {
        refuseMapped(Objects.requireNonNull(path, "The path to load from is null"));
        File file = NetworkFile.onDisk(path);
        return file.isFile() && StreamedKeras.recognises(file) ? StreamedKeras.open(file) : StreamedModel.open(file);
    }

    private static void refuseMapped(Path path) throws IOException {
        if (Files.isRegularFile(path) && MappedFile.recognises(path)) {
            throw new IOException(path + " was written by LoRA.writeBase: open it with LoRA.openBase, and adapt that network "
                    + "with LoRA.apply");
        }
    }

    /**
     * Writes a base for {@link #openBase openBase}: one uncompressed file, a little longer than the values. <b>An existing file
     * is replaced</b>, even one that is open, except on Windows, which refuses that; missing folders are made. Meanwhile the
     * values in fewer bits take memory, in addition to the base itself.
     *
     * @param base    trained, a stock network or a frozen one; not changed
     * @param path    of the file
     * @param scheme  how matrices are kept; null: as they are
     * @param options each at most once
     * @throws IllegalArgumentException if the base is null, not initialised, adapted, has no parameters or is kept in fewer bits
     *                                  by another scheme, if a weight is NaN or infinite, or if the values of a layer take more
     *                                  than 2 GiB in one piece; the message names the layer
     * @throws IOException              if the file cannot be written; a {@link java.nio.file.FileAlreadyExistsException} if it
     *                                  exists and {@link SaveOption#NEW_ONLY} is given
     */
    public static void writeBase(Model base, Path path, @Nullable Quantization scheme, SaveOption... options)
            throws IOException {
        AtomicFile.requireNew(Objects.requireNonNull(path, "The path to write to is null"), options);
        MappedBase.write(Adaptation.freeze(base, scheme, "Write the base that it was adapted from, or the result of LoRA.merge, "
                + "or write base and adapters with LoRA.save"), path, options);
    }

    /**
     * As {@link #writeBase(Model, Path, Quantization, SaveOption...)}, for values that come from elsewhere, layer by layer.
     * Memory is taken by the values as they are kept, and by the largest layer as it was.
     *
     * @param base    read once
     * @param path    of the file
     * @param scheme  how matrices are kept; null: as they are
     * @param options each at most once
     * @throws IllegalArgumentException as there
     * @throws IOException              as thrown by the source, and as there
     */
    public static void writeBase(BaseSource<?> base, Path path, @Nullable Quantization scheme, SaveOption... options)
            throws IOException {
        AtomicFile.requireNew(Objects.requireNonNull(path, "The path to write to is null"), options);
        MappedBase.write(of(base, streamed -> Adaptation.freeze(streamed, scheme)), path, options);
    }

    /**
     * Makes a frozen network, as {@link #freeze(ComputationGraph)} does, on a file that {@link #writeBase writeBase} wrote. A
     * value is read only when a pass needs it. The values take none of Java's or ND4J's memory, and all processes of a machine
     * share them. The network can serve as any base does: {@link #apply(ComputationGraph, LoRAConfig)} and {@link #attach attach}
     * share the mapping, but read it through to check that it is the base that it claims to be.
     *
     * <p>While such a file is in use, replace it by writing a new one, as {@code writeBase} does. Never shorten it in place: a
     * JVM that reads values which are no longer there may crash.
     *
     * @param path of the file
     * @return a frozen network, a ComputationGraph or a MultiLayerNetwork
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static Model openBase(Path path) throws IOException {
        return Adaptation.restored(MappedBase.open(Objects.requireNonNull(path, "The path to open is null")));
    }

    /**
     * {@return whether a file begins like one that {@link #writeBase writeBase} wrote}
     *
     * @param path of the file
     * @throws IOException if it cannot be read
     */
    public static boolean isBase(Path path) throws IOException {
        return MappedFile.recognises(Objects.requireNonNull(path, "The path is null"));
    }

    /**
     * As {@link #openBase openBase}, of a ComputationGraph.
     *
     * @param path of the file
     * @return a frozen network
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static ComputationGraph openComputationGraphBase(Path path) throws IOException {
        return as(ComputationGraph.class, openBase(path), path, "LoRA.openMultiLayerNetworkBase");
    }

    /**
     * As {@link #openBase openBase}, of a MultiLayerNetwork.
     *
     * @param path of the file
     * @return a frozen network
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static MultiLayerNetwork openMultiLayerNetworkBase(Path path) throws IOException {
        return as(MultiLayerNetwork.class, openBase(path), path, "LoRA.openComputationGraphBase");
    }
}
