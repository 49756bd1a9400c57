package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TorchLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * What adapters change in a network. Each parameter of the base that they change gets inputs of the graph, whose defaults give
 * the base.
 *
 * <p>No layer's exporter knows of adapters: they write the base, and {@link AdaptedGraph} changes what reads the parameters.
 * A {@link Probe} finds out which value of a parameter went where.
 */
public final class AdapterInputs {

    static final String MERGE = "Merge the adapter instead, with LoRA.merge, and write the network";

    /** No adapter: the graph stays as it is. */
    public static final AdapterInputs NONE = new AdapterInputs();

    private record Parameter(String layer, String key) {
    }

    private final Map<Parameter, Input> inputs = new LinkedHashMap<>();
    private final Probe probe = new Probe();

    private AdapterInputs() {
    }

    /**
     * What some adapters change.
     *
     * @param base     not adapted; not changed
     * @param adapters of that base; their ranks do not matter
     * @throws IllegalArgumentException if an adapter does not fit
     * @throws OnnxExportException      if it does more than inputs can
     */
    public static AdapterInputs of(Model base, List<LoRAAdapter> adapters) {
        AdapterInputs inputs = new AdapterInputs();
        adapters.forEach(adapter -> {
            Model adapted = applied(base, adapter);
            inputs.add(adapted, content(adapter, adapted));
        });
        return inputs;
    }

    /** A network with the adapter. */
    public static Model applied(Model base, LoRAAdapter adapter) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter)
                : LoRA.apply((MultiLayerNetwork) base, adapter);
    }

    /**
     * What an adapter consists of. The base is asked only where the adapter depends on it, since that takes a look at all of the
     * base's values.
     *
     * @param adapted a network with the adapter
     */
    public static AdapterContent content(LoRAAdapter adapter, Model adapted) {
        AdapterContent own = ContentAccess.of(adapter);
        boolean isComplete = own.trained().isEmpty() && own.deltas().values().stream().noneMatch(delta ->
                delta.has(Delta.LORA_BIAS) || delta.kind().init().isTakenFromW() && !delta.has(Variant.START_A));
        return isComplete ? own : ContentAccess.of(LoRAAdapter.of(adapted));
    }

    private void add(Model adapted, AdapterContent content) {
        AdaptedView view = AdaptedView.of(adapted);
        view.adaptedMatrices().forEach((name, matrix) -> {
            boolean isScaled = !matrix.settings().variant().isAdditive();
            if (isScaled) {
                Variant variant = matrix.settings().variant();
                AdapterTensors.requireScale(name, variant, matrix.outputScale(variant,
                        content.delta(name).parts(), content.delta(name).factor()));
            }
            String key = matrix.parameter().key();
            put(matrix.layer(), key, new Input.Matrix(name, matrix.parameter().nIn(), matrix.parameter().nOut(),
                    matrix.conf().matrices().form(key), isScaled));
            INDArray bias = matrix.parts().get(DefaultParamInitializer.BIAS_KEY);
            if (bias != null) {
                put(matrix.layer(), matrix.conf().biases().get(0).key(), vector(name + Biases.SUFFIX, bias.length()));
            }
        });
        Map<String, Parameter> biases = biases(adapted);
        content.biases().values().forEach((name, value) -> {
            String tensor = name + Biases.SUFFIX;
            TorchParameter parameter = view.torch().parameter(tensor);
            Parameter of = parameter != null ? new Parameter(parameter.layer(), parameter.key())
                    : Objects.requireNonNull(biases.get(name));
            put(of.layer(), of.key(), vector(tensor, value.length()));
        });
        content.trained().forEach((module, values) -> values.forEach((name, value) -> addTrained(view, module, values.keySet(),
                name, value, content.own().contains(module))));
    }

    private void addTrained(AdaptedView view, String module, Set<String> names, String name, INDArray value, boolean isOwn) {
        String tensor = module + "." + name;
        AdaptedView.TrainedLayer layer = view.trainedLayers().get(module);
        if (layer != null && (isOwn || !view.torch().knows(module))) {
            Map<String, String> keys = TorchLayout.keysByName(layer.conf(), layer.table().keySet(), names);
            String key = Objects.requireNonNull(keys.get(name));
            INDArray like = Objects.requireNonNull(layer.table().get(key));
            put(module, key, new Input.Values(tensor, value.shape(),
                    values -> TorchLayout.fromTorch(layer.conf(), keys, name, values, like),
                    base -> key.equals(name) ? base : TorchLayout.toTorch(layer.conf(), key, base)));
            return;
        }
        TorchParameter parameter = Objects.requireNonNull(view.torch().parameter(tensor));
        put(parameter.layer(), parameter.key(), new Input.Values(tensor, value.shape(),
                values -> parameter.transposed() ? values.transpose() : values, parameter::oriented));
    }

    private static Input.Values vector(String name, long length) {
        return new Input.Values(name, new long[]{length}, values -> values, base -> base.reshape(base.length()));
    }

    /** Parameters by the names that {@link StockBiases} gives them. */
    private static Map<String, Parameter> biases(Model adapted) {
        Map<String, Parameter> biases = new LinkedHashMap<>();
        for (Node node : Networks.of(adapted).nodes()) {
            AdaptedConfiguration lora = node.adapted();
            if (lora != null && lora.stockLayer() != null) {
                Layer stock = Objects.requireNonNull(lora.stockLayer());
                lora.biases().forEach(bias -> biases.put(StockBiases.module(stock, node.name(), bias.key()),
                        new Parameter(node.name(), bias.key())));
            }
        }
        return biases;
    }

    private void put(String layer, String key, Input input) {
        Input before = inputs.get(new Parameter(layer, key));
        if (before instanceof Input.Matrix one && input instanceof Input.Matrix other && one.name().equals(other.name())) {
            inputs.put(new Parameter(layer, key), one.isScaled() ? one : other);
        } else if (before instanceof Input.Values && input instanceof Input.Values && before.name().equals(input.name())) {
            return;
        } else if (before != null) {
            boolean isEither = before instanceof Input.Matrix != input instanceof Input.Matrix;
            throw OnnxExportException.of(layer, isEither ? "one adapter adds A·B to its " + key + ", another trains it in full"
                    : "its " + key + " would be both the input \"" + before.name() + "\" and the input \"" + input.name() + "\"",
                    isEither ? "Write the base once for either adapter" : MERGE);
        } else {
            inputs.put(new Parameter(layer, key), input);
        }
    }

    /**
     * Weights as exporters are to see them.
     *
     * @param layer   that they belong to
     * @param weights by DL4J's key
     */
    public Map<String, Weight> watched(String layer, Map<String, Weight> weights) {
        if (inputs.isEmpty()) {
            return weights;
        }
        Map<String, Weight> watched = new LinkedHashMap<>();
        weights.forEach((key, weight) -> {
            Input input = inputs.get(new Parameter(layer, key));
            if (input instanceof Input.Values values) {
                values.base().set(weight.values());
            }
            watched.put(key, new Weight(weight.name(), weight.shape(), () -> probe.values(input, weight), weight.axis()));
        });
        return watched;
    }

    /**
     * Puts the inputs into the graph of the base.
     *
     * @throws OnnxExportException if the base's exporter did more with a parameter than to pick its values
     */
    public void addTo(OnnxGraph graph) {
        if (inputs.isEmpty()) {
            return;
        }
        Map<String, AdaptedWeight> adapted = new LinkedHashMap<>();
        graph.weights().forEach((tensor, weight) -> {
            Map<Input, Pick> picks = probe.picks(weight);
            if (!picks.isEmpty()) {
                adapted.put(tensor, AdaptedWeight.of(picks));
            }
        });
        Set<Input> missing = new LinkedHashSet<>(inputs.values());
        missing.removeAll(new AdaptedGraph(graph, adapted).rewrite());
        if (!missing.isEmpty()) {
            throw OnnxExportException.of(missing.iterator().next().name(),
                    "the graph has no place where an adapter could change it", MERGE);
        }
    }
}
