package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.file.NetworkFile;
import io.github.dl4jlora.internal.kernel.Disableable;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import io.github.dl4jlora.internal.rewrite.Rewriter;
import io.github.dl4jlora.internal.rewrite.Summaries;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Adapts trained networks: frozen base, low-rank adapters that DL4J's own trainer updates, merge back into stock classes.
 *
 * <p>With {@link FrozenStorage#SHARED}, the default, an adapted network holds views of the base's arrays, not copies.
 * The base is for inference from then on; that it was trained, overwritten or closed all the same is found out by
 * {@code merge}, {@code unload}, {@code save}, {@code attach} and adapter export, which refuse, naming the layer.
 */
public final class LoRA {

    private LoRA() {
    }

    /**
     * Makes an adapted network of a trained one. The result computes what the base computes until it is trained. ND4J's
     * random generator is left as it was.
     *
     * @throws IllegalArgumentException if the network is not initialised or adapted already, if a pattern matches
     *                                  nothing or a layer that cannot be adapted; the message names what there is
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAConfig config) {
        return Rewriter.apply(base, config);
    }

    /** As {@link #apply(ComputationGraph, LoRAConfig)}. */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAConfig config) {
        return Rewriter.apply(base, config);
    }

    /**
     * Makes an adapted network with the adapter's own configuration and values.
     *
     * @throws IllegalArgumentException if the adapter was made for another base
     */
    public static ComputationGraph apply(ComputationGraph base, LoRAAdapter adapter) {
        ComputationGraph adapted = Rewriter.apply(base, adapter.config());
        adapter.applyTo(adapted);
        return adapted;
    }

    /** As {@link #apply(ComputationGraph, LoRAAdapter)}. */
    public static MultiLayerNetwork apply(MultiLayerNetwork base, LoRAAdapter adapter) {
        MultiLayerNetwork adapted = Rewriter.apply(base, adapter.config());
        adapter.applyTo(adapted);
        return adapted;
    }

    /** Something that lasts until it is closed; closing twice does nothing. */
    public interface Scope extends AutoCloseable {

        @Override
        void close();
    }

    /**
     * A scope in which the network computes what its base computes, bit for bit:
     * {@code try (LoRA.Scope base = LoRA.disabled(tuned)) { … }}. Training in it is refused. Scopes may be nested; the
     * adapters are back when the last one is closed.
     *
     * @throws IllegalArgumentException if the network has no adapted layer
     * @throws IllegalStateException    if it has layers that are trained in full: of these the base's values are gone
     */
    public static Scope disabled(Model adapted) {
        List<Disableable> layers = AdaptedView.of(adapted).disable();
        AtomicBoolean open = new AtomicBoolean(true);
        return () -> {
            if (open.getAndSet(false)) {
                layers.forEach(Disableable::enable);
            }
        };
    }

    /** What trains and what does not, by layer; prints as a table. */
    public static LoRASummary summary(Model network) {
        return Summaries.of(network);
    }

    /**
     * A stock network of the base's topology with W + s·A·B for weights, made of DL4J's own classes only. Neither the
     * adapted network nor the base changes. Updater state does not carry over.
     *
     * @throws IllegalStateException if the base has changed since it was adapted, or a merged weight is NaN or infinite
     */
    public static ComputationGraph merge(ComputationGraph adapted) {
        return Rewriter.merge(adapted);
    }

    /** As {@link #merge(ComputationGraph)}. */
    public static MultiLayerNetwork merge(MultiLayerNetwork adapted) {
        return Rewriter.merge(adapted);
    }

    /**
     * A stock network of the base's topology without the adapters. Layers that were trained in full keep what they
     * learned, as in PEFT.
     *
     * @throws IllegalStateException if the base has changed since it was adapted
     */
    public static ComputationGraph unload(ComputationGraph adapted) {
        return Rewriter.unload(adapted);
    }

    /** As {@link #unload(ComputationGraph)}. */
    public static MultiLayerNetwork unload(MultiLayerNetwork adapted) {
        return Rewriter.unload(adapted);
    }

    /**
     * Gives a network that DL4J's ModelSerializer restored the base it was adapted from. All layers are compared by
     * content before the first is attached.
     *
     * @throws IllegalArgumentException if the base lacks a layer, or has other weights, another shape or data type in
     *                                  its place
     */
    public static void attach(ComputationGraph adapted, ComputationGraph base) {
        Rewriter.attach(adapted, base);
    }

    /** As {@link #attach(ComputationGraph, ComputationGraph)}. */
    public static void attach(MultiLayerNetwork adapted, MultiLayerNetwork base) {
        Rewriter.attach(adapted, base);
    }

    /**
     * Writes one self-contained file: base, adapters and, if asked for, updater state. The file appears whole or not
     * at all; an old one stays until then.
     *
     * @throws IllegalStateException if the base has changed since it was adapted
     */
    public static void save(Model adapted, Path path, boolean saveUpdater) throws IOException {
        NetworkFile.save(adapted, Rewriter.everythingFrozen(adapted), path, saveUpdater);
    }

    /**
     * Reads what {@link #save} wrote.
     *
     * @throws IOException if the file is missing, truncated, damaged or of another kind
     */
    public static ComputationGraph loadComputationGraph(Path path) throws IOException {
        if (load(path) instanceof ComputationGraph graph) {
            return graph;
        }
        throw new IOException(path + " holds a MultiLayerNetwork: use LoRA.loadMultiLayerNetwork");
    }

    /** As {@link #loadComputationGraph}. */
    public static MultiLayerNetwork loadMultiLayerNetwork(Path path) throws IOException {
        if (load(path) instanceof MultiLayerNetwork network) {
            return network;
        }
        throw new IOException(path + " holds a ComputationGraph: use LoRA.loadComputationGraph");
    }

    /**
     * As {@link #loadComputationGraph}, for whichever of the two network types the file holds.
     */
    public static Model load(Path path) throws IOException {
        Model network = NetworkFile.load(path);
        Rewriter.leaveOutInputGradients(network);
        return network;
    }
}
