package io.github.dl4jlora.rewrite;

import io.github.dl4jlora.FrozenStorage;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.frozen.Disableable;
import io.github.dl4jlora.frozen.FrozenWeights;
import io.github.dl4jlora.layer.AdaptedRuntime;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LoRAParams;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The trained parts of an adapted network, live: writing to these arrays writes to the network.
 */
public final class AdaptedView {

    /** An adapted layer; A {@code [nIn, rank]}, B {@code [rank, nOut]}. */
    public record AdaptedLayer(INDArray a, INDArray b, double alpha, Scaling scaling, AdaptedRuntime runtime) {

        public void rescale(double newAlpha, Scaling newScaling) {
            if (newAlpha != alpha || newScaling != scaling) {
                runtime.rescale(newAlpha, newScaling);
            }
        }
    }

    /** A layer that is trained in full; {@code conf} is null for a vertex that is no layer. */
    public record TrainedLayer(Layer conf, Map<String, INDArray> table) {
    }

    private final Network<?> network;
    private final Map<String, AdaptedLayer> adapted = new LinkedHashMap<>();
    private final Map<String, TrainedLayer> trained = new LinkedHashMap<>();
    private double dropout;

    private AdaptedView(Network<?> network) {
        this.network = network;
        for (Node node : network.nodes()) {
            Trainable runtime = network.runtime(node.name());
            Map<String, INDArray> table = runtime.paramTable(false);
            if (runtime instanceof AdaptedRuntime adaptable && node.layer() instanceof LoRADenseLayer lora) {
                adapted.put(node.name(), new AdaptedLayer(table.get(LoRAParams.A), table.get(LoRAParams.B), lora.getAlpha(),
                        lora.getScaling(), adaptable));
                dropout = lora.getLoraDropout();
            } else if (!Rewriter.isFrozen(node) && table != null && !table.isEmpty()) {
                trained.put(node.name(), new TrainedLayer(node.layer(), table));
            }
        }
    }

    public static AdaptedView of(Model model) {
        return new AdaptedView(Network.of(model));
    }

    /** By name, in topological order. */
    public Map<String, AdaptedLayer> adaptedLayers() {
        return adapted;
    }

    /** By name, in topological order. */
    public Map<String, TrainedLayer> trainedLayers() {
        return trained;
    }

    /**
     * Disables the low-rank paths of all layers, those included that TransferLearning froze after they were adapted, and
     * has frozen layers compute as the base's do.
     *
     * @return the layers, each to be enabled again
     * @throws IllegalArgumentException if there is none
     * @throws IllegalStateException    if some layers are trained in full
     */
    public List<Disableable> disable() {
        if (!trained.isEmpty()) {
            throw new IllegalStateException("The network cannot be disabled: the layers " + trained.keySet()
                    + " are trained in full, and "
                    + "what they held in the base is gone from it. Use the base network itself");
        }
        List<Disableable> layers = new ArrayList<>();
        for (Node node : network.nodes()) {
            Trainable runtime = network.runtime(node.name());
            Object inner = runtime instanceof FrozenLayer frozen ? frozen.getInsideLayer() : runtime;
            if (inner instanceof Disableable layer) {
                layers.add(layer);
            }
        }
        if (layers.stream().noneMatch(AdaptedRuntime.class::isInstance)) {
            throw new IllegalArgumentException("The network has no adapted layer, so there is nothing to disable: "
                    + "make one with LoRA.apply");
        }
        layers.forEach(Disableable::disable);
        return layers;
    }

    /** The probability with which the low-rank paths drop their inputs. */
    public double dropout() {
        return dropout;
    }

    /**
     * Content id of each adapted layer's frozen weights.
     *
     * @throws IllegalStateException if they are missing, or have changed since the network was adapted
     */
    public Map<String, String> verifiedIds() {
        Map<String, String> ids = new LinkedHashMap<>();
        Rewriter.verifiedBase(network.model()).forEach((name, weights) -> ids.put(name, weights.id()));
        for (String name : adapted.keySet()) {
            if (network.node(name).layer() instanceof LoRADenseLayer lora && lora.getStorage() == FrozenStorage.EMBEDDED) {
                ids.put(name, embeddedId(lora, network.runtime(name)));
            }
        }
        return ids;
    }

    private static String embeddedId(LoRADenseLayer lora, Trainable runtime) {
        Map<String, INDArray> frozen = new LinkedHashMap<>(runtime.paramTable(false));
        frozen.remove(LoRAParams.A);
        frozen.remove(LoRAParams.B);
        long length = DefaultParamInitializer.getInstance().numParams(lora);
        return FrozenWeights.unregistered(Rewriter.head(runtime.params(), length), frozen).id();
    }
}
