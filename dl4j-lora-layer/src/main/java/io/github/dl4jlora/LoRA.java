package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.rewrite.Adaptation;
import io.github.dl4jlora.internal.rewrite.Agreement;
import io.github.dl4jlora.internal.rewrite.BaseAttachment;
import io.github.dl4jlora.internal.rewrite.DisabledScopes;
import io.github.dl4jlora.internal.rewrite.Planning;
import io.github.dl4jlora.internal.rewrite.Scales;
import io.github.dl4jlora.internal.rewrite.Summaries;
import io.github.dl4jlora.internal.rewrite.Unadaptation;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Adapts trained networks: frozen base, low-rank adapters that DL4J's own trainer updates, merge back into stock classes.
 *
 * <p>With {@link FrozenStorage#SHARED}, the default, an adapted network holds views of the base's arrays, not copies.
 * The base is for inference from then on; that it was trained, overwritten or closed all the same is found out by
 * {@code merge}, {@code unload}, {@code save}, {@code attach} and adapter export, which refuse, naming the layer.
 */
public final class LoRA extends LoRAStarts {

    private LoRA() {
    }

    /**
     * Makes an adapted network of a trained one. The result computes what the base computes until it is trained. It starts
     * at iteration 0 and epoch 0, as does its updater's state, so that schedules and Adam's bias correction start too. ND4J's
     * random generator is left as it was.
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
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAAdapter adapter) {
        return with(base, given(adapter));
    }

    private static <M extends Model> M with(M base, LoRAAdapter adapter) {
        M adapted = Adaptation.applyOfAdapter(base, adapter.config());
        adapter.applyTo(adapted);
        return adapted;
    }

    /**
     * Makes an adapted network with the adapter's values, to be trained and kept as a configuration says. From the adapter come
     * rank, alpha, scaling, variant, start and which layers are adapted or trained in full. From the configuration, as they
     * stand and defaults included, come {@code updater}, {@code l1}, {@code l2}, {@code weightDecay}, {@code loraDropout},
     * {@code loraPlusRatio}, {@code engine}, {@code seed} (of a start that the adapter's file lacks), {@code keepCounts},
     * {@code storage}, {@code copyBase}, {@code baseLocation} and {@code bias}, which may be more than the adapter's: biases
     * for which it has no values start as the base's. Left at {@link BiasTraining#NONE} it is the adapter's.
     *
     * <p>What the configuration says of the rest must be the default, or what the adapter is: patterns and types must choose
     * its layers. {@code adapter.config().toBuilder()} starts a configuration that does.
     *
     * @param base    trained; not changed
     * @param adapter taken from an adapted network, or read from files
     * @param config  how to train it on
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
     * @param config  how to train it on
     * @return an adapted network
     */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAAdapter adapter, LoRAConfig config) {
        return trainedAs(base, given(adapter), config);
    }

    private static <M extends Model> M trainedAs(M base, LoRAAdapter adapter, LoRAConfig config) {
        LoRAConfig ofAdapter = adapter.config();
        Agreement.require(base, ofAdapter, config);
        M adapted = Adaptation.applyOfAdapter(base, ofAdapter.trainedAs(config));
        adapter.applyTo(adapted, LoRAAdapter.ApplyOption.KEEP_BIASES);
        return adapted;
    }

    private static LoRAAdapter given(LoRAAdapter adapter) {
        if (adapter == null) {
            throw new IllegalArgumentException("The adapter is null: give one that LoRAAdapter.load or LoRAAdapter.of returned");
        }
        return adapter;
    }

    /**
     * Makes a network for inference of a trained one, on the same weights: every layer that has parameters is frozen, as
     * {@link #apply} freezes what it does not adapt, so that dense layers and convolutions take less time. It computes what the
     * network does in test mode. {@code params()} is empty; {@code fit} and {@code pretrain} refuse. {@link #apply}, and this,
     * take it for the network that it was made of; {@link #merge} gives a stock network on a copy of the weights.
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
     */
    public static MultiLayerNetwork freeze(MultiLayerNetwork network) {
        return Adaptation.freeze(network, null);
    }

    /**
     * As {@link #freeze(ComputationGraph)}, on a copy of the weights whose matrices are kept in fewer bits.
     *
     * @param network trained; not changed, and free to go
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
     * @param network trained; not changed, and free to go
     * @param scheme  how they are kept
     * @return a frozen network
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
     * @param adapted an adapted network
     * @return what ends the scope when closed
     * @throws IllegalArgumentException if the network has no adapted layer
     * @throws IllegalStateException    if it has layers that are trained in full: of these the base's values are gone
     */
    public static Scope disabled(Model adapted) {
        return DisabledScopes.open(adapted)::run;
    }

    /**
     * A scope in which every adapted layer's change counts by a factor, PEFT's {@code rescale_adapter_scale}:
     * {@code try (LoRA.Scope half = LoRA.rescaled(tuned, 0.5)) { … }}. Bit for bit what it was when the scope is closed. Of
     * nested scopes, and of {@link #setScale}, the factors are multiplied; inside {@link #disabled} nothing of the adapters is
     * left to scale.
     *
     * <p>What is scaled is ΔW, so that 0 is the base. Trained biases and layers that are trained in full stay as they are.
     * {@code fit} trains the scaled function; {@link #merge} merges it. {@link #save} and {@link LoRAAdapter#of} are refused, and
     * what DL4J makes by {@code clone}, ModelSerializer or as a replica is not scaled: files have no place for it.
     *
     * @param adapted an adapted network
     * @param factor  finite; 1 is the adapter as it is, 0 none of it, a negative one its opposite
     * @return what ends the scope when closed
     * @throws IllegalArgumentException if the factor is NaN or infinite, or the network has no adapted layer
     * @throws IllegalStateException    if DL4J's FrozenVertex hides an adapted vertex
     */
    public static Scope rescaled(Model adapted, double factor) {
        return Scales.open(adapted, factor)::run;
    }

    /**
     * Lets the change of some layers count by a factor from now on, PEFT's {@code set_scale}, with all that
     * {@link #rescaled} says. The factor is relative to the adapter's own scaling, not to what was set before: 1 undoes it.
     *
     * @param adapted an adapted network
     * @param layers  a regular expression of a whole layer name, or of a parameter's as {@code name/key}, like one of
     *                {@code LoRAConfig.targets}; layers that it does not match keep their factors
     * @param factor  finite
     * @throws IllegalArgumentException if the factor is NaN or infinite, or the pattern no regular expression, or one that
     *                                  matches nothing that is adapted
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
        factors.forEach((pattern, factor) -> compiled.put(Selection.Builder.compile("setScale", pattern), factor));
        Scales.set(adapted, compiled);
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
     * What {@code apply} would make of a network, and what training it would take beside training the network in full: sizes are
     * counted, nothing is computed or copied, and the network stays as it is, ND4J's random generator too.
     *
     * @param base   trained; a ComputationGraph or MultiLayerNetwork
     * @param config which layers are adapted, and how
     * @param batch  examples of a training step
     * @param inputs of the network, one each: what the configuration does not tell, as the size of images, the length of
     *               sequences, how many words there are; none where it does
     * @return the plan; prints as a table
     * @throws IllegalArgumentException as {@code apply} with the same message, but for weights that cannot be quantised, since
     *                                  none are looked at; and if the batch is empty, or an input is missing or does not fit:
     *                                  the message says what to give
     */
    public static LoRAPlan plan(Model base, LoRAConfig config, int batch, InputType... inputs) {
        return Planning.of(base, config, batch, inputs);
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
     * adapted network nor the base changes. Iteration and epoch counts are the adapted network's; updater state does not
     * carry over. {@link #merging} merges some layers, or a part of ΔW.
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
     */
    public static MultiLayerNetwork merge(MultiLayerNetwork adapted) {
        return Unadaptation.merge(adapted);
    }

    /**
     * A merge with options: of some layers, of a part of ΔW, or a report on what rounding leaves of it.
     * {@code LoRA.merging(tuned).layers("fc1").weight(0.7).merge()}.
     *
     * @param adapted an adapted network
     * @param <M>     the network type
     * @return all layers and a weight of 1, until it is told otherwise
     */
    public static <M extends Model> LoRAMerge<M> merging(M adapted) {
        return new LoRAMerge<>(adapted);
    }

    /**
     * A stock network of the base's topology without the adapters: what the base computes. Layers that were trained in full
     * get the base's values back, those that were added since they stay.
     *
     * @param adapted an adapted network
     * @return a stock network
     * @throws IllegalStateException if the base has changed since it was adapted, or what it held for a layer that was trained
     *                               in full is not to be had: with {@link FrozenStorage#EMBEDDED}, in networks of 0.1.0, and
     *                               in a JVM that has not got the base
     */
    public static ComputationGraph unload(ComputationGraph adapted) {
        return Unadaptation.unload(adapted);
    }

    /**
     * As {@link #unload(ComputationGraph)}.
     *
     * @param adapted an adapted network
     * @return a stock network
     */
    public static MultiLayerNetwork unload(MultiLayerNetwork adapted) {
        return Unadaptation.unload(adapted);
    }

    /**
     * Gives a network the base it was adapted from: one that DL4J's ModelSerializer restored, or one whose base has changed
     * since, a copy of it as it was. All layers are compared by content before the first is attached. A network that was adapted
     * with {@code copyBase(true)} takes a copy of it.
     *
     * @param adapted an adapted network
     * @param base    the network it was adapted from
     * @throws IllegalArgumentException if either is null, or the base lacks a layer, or has other weights, another shape or
     *                                  data type in its place
     * @throws IllegalStateException    if adapters took their start out of W that data gave ({@link LoRAInit#LORA_GA}), and it is
     *                                  not in this JVM: ModelSerializer does not keep it, {@link #save} does
     */
    public static void attach(ComputationGraph adapted, ComputationGraph base) {
        BaseAttachment.attach(adapted, base);
    }

    /**
     * As {@link #attach(ComputationGraph, ComputationGraph)}.
     *
     * @param adapted an adapted network
     * @param base    the network it was adapted from
     */
    public static void attach(MultiLayerNetwork adapted, MultiLayerNetwork base) {
        BaseAttachment.attach(adapted, base);
    }
}
