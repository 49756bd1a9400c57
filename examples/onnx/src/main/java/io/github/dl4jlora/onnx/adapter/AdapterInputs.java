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
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.internal.stock.StockBiases;
import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.onnx.graph.Initializer;
import io.github.dl4jlora.onnx.graph.OnnxGraph;
import io.github.dl4jlora.onnx.graph.Weight;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * What adapters change in a network. Each parameter of the base that they change gets inputs of the graph, whose defaults give
 * the base.
 *
 * <p>No layer's exporter knows of adapters: they write the base, and {@link AdaptedGraph} changes what reads the parameters.
 * Exporters permute, reshape and cut what they are given. So that nobody needs to tell which value is which, the parameters'
 * values are replaced by their numbers while {@link #picks} looks at what the exporters make of them.
 */
public final class AdapterInputs {

    private static final String MERGE = "Merge the adapter instead, with LoRA.merge, and write the network";

    /** No adapter: the graph stays as it is. */
    public static final AdapterInputs NONE = new AdapterInputs();

    private record Parameter(String layer, String key) {
    }

    /** What stands for a parameter of the base. */
    sealed interface Input permits Matrix, Values {

        /** {@return the matrix's or tensor's name in the adapter} */
        String name();

        /** {@return how many values there are} */
        long count();

        /**
         * Values in the shape of DL4J's parameter.
         *
         * @param values in the order of C
         * @param shape  of DL4J's parameter
         */
        INDArray restored(INDArray values, long[] shape);
    }

    /**
     * A matrix that A·B is added to.
     *
     * @param isScaled whether its outputs are multiplied
     */
    record Matrix(String name, long nIn, long nOut, MatrixForm form, boolean isScaled) implements Input {

        @Override
        public long count() {
            return nIn * nOut;
        }

        @Override
        public INDArray restored(INDArray values, long[] shape) {
            INDArray parameter = Nd4j.create(values.dataType(), shape, 'c');
            form.viewOf(parameter).assign(values.reshape('c', nIn, nOut));
            return parameter;
        }
    }

    /**
     * A parameter that is replaced.
     *
     * @param shape  of the adapter's tensor
     * @param toDl4j makes of the adapter's tensor what DL4J has
     * @param toFile the way back
     * @param base   the base's own, as DL4J has it; known when the layer has been written
     */
    record Values(String name, long[] shape, UnaryOperator<INDArray> toDl4j, UnaryOperator<INDArray> toFile,
                  AtomicReference<Supplier<INDArray>> base) implements Input {

        Values(String name, long[] shape, UnaryOperator<INDArray> toDl4j, UnaryOperator<INDArray> toFile) {
            this(name, shape, toDl4j, toFile, new AtomicReference<>());
        }

        @Override
        public long count() {
            return Initializer.count(shape);
        }

        @Override
        public INDArray restored(INDArray values, long[] dl4j) {
            return toDl4j.apply(values.reshape('c', shape)).dup('c').reshape('c', dl4j);
        }

        Initializer defaults() {
            return Initializer.floats(name, shape, () -> toFile.apply(base.get().get()));
        }
    }

    private final Map<Parameter, Input> inputs = new LinkedHashMap<>();
    private boolean isProbing;
    /** By parameter that is numbered now. */
    private Map<Input, INDArray> numbered = Map.of();
    private final Set<Input> touched = new LinkedHashSet<>();

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
                AdapterTensors.requireScale(name, matrix.settings().variant(), matrix.outputScale(matrix.settings().variant(),
                        content.delta(name).parts(), content.delta(name).factor()));
            }
            String key = matrix.parameter().key();
            put(matrix.layer(), key, new Matrix(name, matrix.parameter().nIn(), matrix.parameter().nOut(),
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
            put(module, key, new Values(tensor, value.shape(),
                    values -> TorchLayout.fromTorch(layer.conf(), keys, name, values, like),
                    base -> key.equals(name) ? base : TorchLayout.toTorch(layer.conf(), key, base)));
            return;
        }
        TorchParameter parameter = Objects.requireNonNull(view.torch().parameter(tensor));
        put(parameter.layer(), parameter.key(), new Values(tensor, value.shape(),
                values -> parameter.transposed() ? values.transpose() : values, parameter::oriented));
    }

    private static Values vector(String name, long length) {
        return new Values(name, new long[]{length}, values -> values, base -> base.reshape(base.length()));
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
        if (before instanceof Matrix one && input instanceof Matrix other && one.name().equals(other.name())) {
            inputs.put(new Parameter(layer, key), one.isScaled() ? one : other);
        } else if (before instanceof Values && input instanceof Values && before.name().equals(input.name())) {
            return;
        } else if (before != null) {
            boolean isEither = before instanceof Matrix != input instanceof Matrix;
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
            if (input instanceof Values values) {
                values.base().set(weight.values());
            }
            watched.put(key, new Weight(weight.name(), weight.shape(),
                    () -> isProbing ? probe(input, weight.shape()) : weight.values().get(), weight.axis()));
        });
        return watched;
    }

    private INDArray probe(@Nullable Input input, long[] shape) {
        if (input != null) {
            touched.add(input);
        }
        INDArray numbers = input == null ? null : numbered.get(input);
        return numbers == null ? Nd4j.zeros(DataType.DOUBLE, shape) : Objects.requireNonNull(input).restored(numbers, shape);
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
            Map<Input, Pick> picks = picks(weight);
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

    /** What the values of a weight are, by input; empty if no adapter changes any. */
    private Map<Input, Pick> picks(Weight weight) {
        isProbing = true;
        try {
            numbered = Map.of();
            touched.clear();
            weight.values().get();
            Map<Input, Pick> picks = new LinkedHashMap<>();
            for (Input input : List.copyOf(touched)) {
                Pick pick = pick(weight, input);
                if (!pick.isEmpty()) {
                    picks.put(input, pick);
                }
            }
            return picks;
        } finally {
            isProbing = false;
            numbered = Map.of();
        }
    }

    /** Looks twice, with other numbers: what is not picked but computed gives itself away. */
    private Pick pick(Weight weight, Input input) {
        double[] numbers = new double[(int) input.count()];
        Arrays.setAll(numbers, i -> i + 1);
        double[] first = seen(weight, input, numbers);
        Arrays.setAll(numbers, i -> 2.0 * (i + 1) + 1);
        double[] second = seen(weight, input, numbers);
        int[] ids = new int[first.length];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = (int) first[i];
            boolean isPicked = ids[i] == first[i] && ids[i] >= 0 && ids[i] <= input.count();
            if (!isPicked || second[i] != (ids[i] == 0 ? 0 : 2 * first[i] + 1)) {
                throw OnnxExportException.of(input.name(), "the graph does not have its values as they are in the network, but "
                        + "what is computed from them", MERGE);
            }
        }
        return new Pick(weight.shape(), ids);
    }

    private double[] seen(Weight weight, Input input, double[] numbers) {
        numbered = Map.of(input, Nd4j.createFromArray(numbers));
        INDArray seen = weight.values().get().castTo(DataType.DOUBLE).dup('c');
        return seen.reshape(seen.length()).toDoubleVector();
    }
}
