package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.internal.stock.StockLayers;
import io.github.dl4jlora.internal.untrusted.RawValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * What training in full changed in a network, by layer.
 */
public final class Changes {

    /** Settings of training, initialisation and speed: a network computes the same with other ones. */
    private static final Set<String> NOT_OF_THE_FUNCTION = Set.of("layerName", "iupdater", "updater", "biasUpdater",
            "regularization", "regularizationBias", "gradientNormalization", "gradientNormalizationThreshold", "idropout",
            "weightNoise", "constraints", "lossFn", "lossFunction", "weightInit", "weightInitFn", "weightInitFnRecurrent",
            "paramWeightInit", "biasInit", "visibleBiasInit", "forgetGateBiasInit", "gainInit", "decay",
            "minibatch", "corruptionLevel", "sparsity", "numSamples", "lambda", "gradientCheck", "cudnnAlgoMode",
            "cudnnAllowFallback", "cudnnFwdAlgo", "cudnnBwdDataAlgo", "cudnnBwdFilterAlgo", "helperAllowFallback", "dataType",
            // Shapes: those of the parameters are compared.
            "layerParams", "vertexParams");

    /** Where it is false, gamma and beta are what a BatchNormalization starts to learn from. Otherwise they are constants. */
    private static final String LOCKED = "lockGammaBeta";

    /**
     * A layer or vertex whose values changed.
     *
     * @param name     unique
     * @param matrices those that can be adapted and have changed, by the name that an adapter has for them
     * @param biases   all that can train beside adapted matrices, as they are now, by the name that an adapter has for them
     * @param changed  keys of the biases among them that have changed
     * @param others   keys of whatever else has changed
     * @param values   all parameters as they are now, by key; live
     */
    public record ChangedLayer(String name, Map<String, Matrix> matrices, Map<String, INDArray> biases, List<String> changed,
                               List<String> others, Map<String, INDArray> values) {
    }

    /**
     * A parameter that is read as a matrix.
     *
     * @param key of the stock layer
     */
    public record Matrix(String key, MatrixForm form, INDArray before, INDArray now) {

        /** What was added to it, {@code [nIn, nOut]}, in double. */
        public INDArray difference() {
            return form.of(now.castTo(DataType.DOUBLE)).sub(form.of(before.castTo(DataType.DOUBLE)));
        }

        /** The type of its values. */
        public DataType dataType() {
            return now.dataType();
        }
    }

    private final Network<?> base;
    private final Network<?> tuned;

    private Changes(Network<?> base, Network<?> tuned) {
        this.base = base;
        this.tuned = tuned;
    }

    /**
     * The layers that differ, in topological order.
     *
     * @throws IllegalArgumentException if the networks differ in more than values, or one of them is adapted; the message
     *                                  names the layer
     * @throws IllegalStateException    if a value is NaN or infinite
     */
    public static List<ChangedLayer> between(Model base, Model fineTuned) {
        Network<?> before = stock("base", base);
        Network<?> now = stock("fine-tuned network", fineTuned);
        if (before.getClass() != now.getClass()) {
            throw new IllegalArgumentException("The base is a " + base.getClass().getSimpleName() + ", the fine-tuned network a "
                    + fineTuned.getClass().getSimpleName() + ". Convert one of them: toComputationGraph()");
        }
        Changes changes = new Changes(before, now);
        changes.requireSameNames();
        before.nodes().forEach(node -> changes.requireLike(node, now.node(node.name())));
        return before.nodes().stream().map(changes::of)
                .filter(layer -> !layer.matrices.isEmpty() || !layer.changed.isEmpty() || !layer.others.isEmpty()).toList();
    }

    private static Network<?> stock(String what, Model model) {
        if (model == null) {
            throw new IllegalArgumentException("The " + what + " is null");
        }
        Network<?> network = Networks.of(model);
        if (model.params().wasClosed()) {
            throw new IllegalArgumentException("The " + what + " was closed, so its weights are gone. Restore it from its file");
        }
        network.nodes().stream().filter(Node::isOurs).findFirst().ifPresent(node -> {
            throw new IllegalArgumentException("The " + what + " is adapted: layer \"" + node.name() + "\" is a " + node.type()
                    + ". Give stock networks: LoRA.merge(network), or LoRA.unload(network); its adapter is "
                    + "LoRAAdapter.of(network)");
        });
        return network;
    }

    private void requireSameNames() {
        Set<String> before = names(base);
        Set<String> now = names(tuned);
        if (!before.equals(now)) {
            Set<String> missing = new TreeSet<>(before);
            missing.removeAll(now);
            Set<String> surplus = new TreeSet<>(now);
            surplus.removeAll(before);
            throw new IllegalArgumentException("The fine-tuned network's layers are not the base's: missing " + missing
                    + ", surplus " + surplus + ". Give two networks of the same architecture");
        }
    }

    private static Set<String> names(Network<?> network) {
        return network.nodes().stream().map(Node::name).collect(Collectors.toSet());
    }

    private void requireLike(Node before, Node now) {
        requireEqual(before, "type", before.type(), now.type());
        requireEqual(before, "inputs", before.inputs(), now.inputs());
        requireEqual(before, "preprocessor", withoutUnset(before.preprocessor(), now.preprocessor()),
                withoutUnset(now.preprocessor(), before.preprocessor()));
        requireEqual(before, "data type", base.model().params().dataType(),
                tuned.model().params().dataType());
        requireEqual(before, "parameters", shapes(base, before), shapes(tuned, now));
        JsonNode function = function(before);
        JsonNode other = function(now);
        Set<String> fields = new TreeSet<>();
        function.fieldNames().forEachRemaining(fields::add);
        other.fieldNames().forEachRemaining(fields::add);
        fields.forEach(field -> requireEqual(before, field, function.get(field), other.get(field)));
    }

    private static void requireEqual(Node node, String what, @Nullable Object before, @Nullable Object now) {
        if (before == null ? now != null : !before.equals(now)) {
            throw new IllegalArgumentException("Layer \"" + node.name() + "\" (" + node.type() + "): " + what + " is " + now
                    + " in the fine-tuned network, but " + before + " in the base. Give two networks of the same architecture");
        }
    }

    /** Sides of 1 left out: some of DL4J's layers have {@code [1, n]} at first, and {@code [n]} once they have trained. */
    private static Map<String, List<Long>> shapes(Network<?> network, Node node) {
        Map<String, List<Long>> shapes = new TreeMap<>();
        table(network, node).forEach((key, value) ->
                shapes.put(key, Arrays.stream(value.shape()).filter(side -> side != 1).boxed().toList()));
        return shapes;
    }

    private static Map<String, INDArray> table(Network<?> network, Node node) {
        Map<String, INDArray> table = network.runtime(node.name()).paramTable(false);
        return table == null ? Map.of() : table;
    }

    /** The configuration out of DL4J's freezing wrappers, without what is {@link #NOT_OF_THE_FUNCTION}. */
    private static JsonNode function(Node node) {
        JsonNode json = json(node.layer() != null ? StockLayers.unfrozen(node.layer()) : node.unwrappedVertex());
        strip(json);
        return json;
    }

    /** One of two preprocessors, without sizes that one of them has still to learn from its first input: they are 0 till then. */
    private static JsonNode withoutUnset(@Nullable Object preprocessor, @Nullable Object other) {
        JsonNode json = json(preprocessor);
        JsonNode otherJson = json(other);
        if (json instanceof ObjectNode object) {
            List<String> unset = new ArrayList<>();
            object.fieldNames().forEachRemaining(field -> {
                if (isZero(object.get(field)) || isZero(otherJson.get(field))) {
                    unset.add(field);
                }
            });
            object.remove(unset);
        }
        return json;
    }

    private static boolean isZero(@Nullable JsonNode value) {
        return value != null && value.isNumber() && value.asDouble() == 0;
    }

    private static JsonNode json(@Nullable Object configured) {
        return NeuralNetConfiguration.mapper().valueToTree(configured);
    }

    private static void strip(JsonNode json) {
        if (json instanceof ObjectNode object) {
            object.remove(NOT_OF_THE_FUNCTION);
            if (object.has(LOCKED) && !object.get(LOCKED).asBoolean()) {
                object.remove(List.of("gamma", "beta"));
            }
        }
        for (Iterator<JsonNode> values = json.elements(); values.hasNext();) {
            strip(values.next());
        }
    }

    private ChangedLayer of(Node node) {
        Map<String, INDArray> before = table(base, node);
        Map<String, INDArray> now = table(tuned, node);
        boolean biasesTrain = node.layer() != null && StockBiases.refusal(node.unwrappedLayer()) == null;
        List<String> biasKeys = biasesTrain ? node.biasKeys() : List.of();
        Map<String, INDArray> biases = new LinkedHashMap<>();
        biasKeys.forEach(key -> biases.put(StockBiases.module(node.unwrappedLayer(), node.name(), key), now.get(key)));
        Map<String, Matrix> matrices = new LinkedHashMap<>();
        List<String> changed = new ArrayList<>();
        List<String> others = new ArrayList<>();
        now.forEach((key, live) -> {
            INDArray old = Objects.requireNonNull(before.get(key));
            INDArray value = live.reshape(old.shape());
            if (!isChanged(node.name(), key, old, value)) {
                return;
            }
            MatrixForm form = node.matrices().forms().get(key);
            if (form != null) {
                matrices.put(node.matrices().module(node.name(), key), new Matrix(key, form, old, value));
            } else {
                (biasKeys.contains(key) ? changed : others).add(key);
            }
        });
        return new ChangedLayer(node.name(), matrices, biases, changed, others, now);
    }

    /** By every bit of the values: ND4J's equals takes close ones for equal. */
    private static boolean isChanged(String layer, String key, INDArray before, INDArray now) {
        requireFinite("base", layer, key, before);
        requireFinite("fine-tuned network", layer, key, now);
        return now.castTo(DataType.DOUBLE).sub(before.castTo(DataType.DOUBLE)).amaxNumber().doubleValue() != 0;
    }

    private static void requireFinite(String what, String layer, String key, INDArray values) {
        if (RawValues.firstNotFinite(values) >= 0) {
            throw new IllegalStateException("Layer \"" + layer + "\": " + key + " of the " + what
                    + " holds NaN or infinity. The network has diverged; go back to an earlier one");
        }
    }
}
