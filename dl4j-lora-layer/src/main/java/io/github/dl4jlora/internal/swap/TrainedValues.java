package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.TorchLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;

/**
 * An adapter's values of what was trained without A and B, beside the parameters of a network that they are for: layers in full,
 * and biases. Names are those of layers, or of PyTorch's modules where the network says which it has.
 */
final class TrainedValues {

    private static final String UNTIED = "Use a network whose decoder has its own matrix: for a checkpoint, "
            + "Checkpoint.open(folder).untied()";
    private static final double ROUNDING = 1e-6;
    private static final double ROUNDING_OF_16_BITS = 1e-2;

    /** A parameter that PyTorch may have by several names. */
    private record Place(String layer, String key) {
    }

    private final AdapterContent adapter;
    private final AdaptedView view;
    private final List<Runnable> assignments;
    private final Map<Place, Map<TorchParameter, INDArray>> byPlace = new LinkedHashMap<>();
    private final Set<String> seenLayers = new TreeSet<>();
    private final Set<String> seenBiases = new TreeSet<>();
    private final Set<String> surplusLayers = new TreeSet<>();
    private final Set<String> surplusBiases = new TreeSet<>();

    /** @param assignments gets what is to be done when all has been checked */
    TrainedValues(AdapterContent adapter, AdaptedView view, List<Runnable> assignments) {
        this.adapter = adapter;
        this.view = view;
        this.assignments = assignments;
    }

    /** @throws IllegalArgumentException if they are not of the network's layers and biases, or do not fit these */
    void check() {
        adapter.trained().forEach(this::requireBias);
        adapter.trained().forEach(this::sort);
        adapter.biases().values().forEach(this::sort);
        byPlace.forEach(this::checkPlace);
        completeLayers();
        FitChecks.requireSame("layers trained in full", FitChecks.without(view.trainedLayers().keySet(), seenLayers),
                surplusLayers);
        FitChecks.requireSame("trained biases", FitChecks.without(view.biases().keySet(), seenBiases), surplusBiases);
    }

    /** PEFT writes modules whole, so a module that is there without its bias has none: PyTorch adds nothing where we would. */
    private void requireBias(String module, Map<String, INDArray> values) {
        TorchParameter bias = view.torch().parameter(module + Biases.SUFFIX);
        if (bias == null || values.containsKey("bias") || adapter.biases().values().containsKey(module)
                || adapter.own().contains(module)) {
            return;
        }
        INDArray added = base(new Place(bias.layer(), bias.key()));
        if (added == null || added.amaxNumber().doubleValue() != 0) {
            throw new IllegalArgumentException("Layer \"" + bias.layer() + "\": the adapter has the module \"" + module
                    + "\" without its bias, so PyTorch computes without it, but the network would add it. PEFT drops the bias of "
                    + "a decoder that it ties by ensure_weight_tying: train the adapter there without that option, or set the "
                    + "base's "
                    + bias.key() + " to zero");
        }
    }

    private void sort(String module, Map<String, INDArray> values) {
        boolean isLayer = view.trainedLayers().containsKey(module);
        if (isLayer && (adapter.own().contains(module) || !view.torch().knows(module))) {
            seenLayers.add(module);
            checkLayer(module, values);
            return;
        }
        values.forEach((parameter, value) -> {
            if (!noted(module + "." + parameter, value)) {
                surplusLayers.add(isLayer ? module + "." + parameter : module);
            }
        });
    }

    private void sort(String name, INDArray value) {
        INDArray parameter = view.biases().get(name);
        if (parameter != null && !view.torch().parameters().containsKey(name + Biases.SUFFIX)) {
            seenBiases.add(name);
            assign(name, "bias", FitChecks.shaped(name, "bias", value, parameter), parameter);
        } else if (!noted(name + Biases.SUFFIX, value.reshape(value.length()))) {
            surplusBiases.add(name);
        }
    }

    /** Notes the value for the parameter that PyTorch calls so; false if the network has none of that name. */
    private boolean noted(String tensor, INDArray value) {
        TorchParameter parameter = view.torch().parameter(tensor);
        if (parameter == null) {
            return false;
        }
        Place place = new Place(parameter.layer(), parameter.key());
        byPlace.computeIfAbsent(place, key -> new LinkedHashMap<>()).put(parameter, value);
        return true;
    }

    private void assign(String name, String what, INDArray shaped, INDArray parameter) {
        INDArray cast = FitChecks.inTypeOf(parameter, name, what, shaped);
        assignments.add(() -> parameter.assign(cast));
    }

    /** A layer by its own name, whose parameters have the names that {@link TorchLayout} gives them. */
    private void checkLayer(String name, Map<String, INDArray> values) {
        AdaptedView.TrainedLayer layer = Objects.requireNonNull(view.trainedLayers().get(name));
        Map<String, String> keys = TorchLayout.keysByName(layer.conf(), layer.table().keySet(), values.keySet());
        FitChecks.requireSame("parameters of layer \"" + name + "\"", FitChecks.without(keys.keySet(), values.keySet()),
                FitChecks.without(values.keySet(), keys.keySet()));
        values.forEach((torchName, value) -> {
            INDArray parameter = Objects.requireNonNull(layer.table().get(keys.get(torchName)));
            assign(name, torchName, shaped(name, torchName + " ", () ->
                    TorchLayout.fromTorch(layer.conf(), keys, torchName, value, parameter)), parameter);
        });
    }

    /** @param what the beginning of the shaping's message, where that begins with a verb */
    private static INDArray shaped(String layer, String what, Supplier<INDArray> shaping) {
        try {
            return shaping.get();
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter's " + what + e.getMessage()
                    + ". The layer was trained in full. If the adapter was trained with a new head, give the base one of that "
                    + "size first, with nOutReplace of DL4J's TransferLearning", e);
        }
    }

    private void checkPlace(Place place, Map<TorchParameter, INDArray> values) {
        Map.Entry<TorchParameter, INDArray> first = values.entrySet().iterator().next();
        values.forEach((name, value) -> {
            if (!value.equalShapes(first.getValue()) || !value.equals(first.getValue())) {
                throw untied(first.getKey(), name, "the adapter has different values for them");
            }
        });
        INDArray target = target(place);
        INDArray like = target != null ? target : base(place);
        if (like == null) {
            throw new IllegalArgumentException("Layer \"" + place.layer() + "\": its TorchNames say that \""
                    + first.getKey().tensor() + "\" is its parameter \"" + place.key()
                    + "\", which it does not have. Correct them");
        }
        INDArray shaped = shaped(place.layer(), "", () -> first.getKey().restored(first.getValue(), like));
        if (target == null) {
            requireBase(place, first.getKey(), shaped);
            return;
        }
        seenLayers.add(place.layer());
        view.torch().namesOf(place.layer(), place.key()).stream()
                .filter(name -> !values.containsKey(name) && !name.tensor().endsWith(Biases.SUFFIX)).forEach(missing -> {
            // PyTorch would compute with the base's value there.
            if (!isBase(place, shaped)) {
                throw untied(first.getKey(), missing, "the adapter has a new value only for the first");
            }
        });
        assign(place.layer(), first.getKey().tensor(), shaped, target);
    }

    /** What trains; null where it is frozen. */
    private @Nullable INDArray target(Place place) {
        AdaptedView.TrainedLayer layer = view.trainedLayers().get(place.layer());
        if (layer != null) {
            return layer.table().get(place.key());
        }
        for (TorchParameter name : view.torch().namesOf(place.layer(), place.key())) {
            INDArray bias = name.tensor().endsWith(Biases.SUFFIX) ? view.biases().get(name.module()) : null;
            if (bias != null) {
                seenBiases.add(name.module());
                return bias;
            }
        }
        return null;
    }

    private @Nullable INDArray base(Place place) {
        Map<String, INDArray> table = view.stockTable(place.layer());
        return table == null ? null : table.get(place.key());
    }

    /** A file may repeat values of the base: PyTorch needs them beside others. */
    private void requireBase(Place place, TorchParameter name, INDArray value) {
        if (!isBase(place, value)) {
            String first = view.torch().namesOf(place.layer(), place.key()).get(0).tensor();
            String conflict = view.torch().of(place.layer()).contains(name)
                    ? "the layer is frozen. Make the network with LoRA.apply(base, adapter)"
                    : "the network ties it to \"" + first + "\", which the adapter leaves as it is. " + UNTIED;
            throw new IllegalArgumentException("Layer \"" + place.layer() + "\": the adapter has a new value for \""
                    + name.tensor() + "\", but " + conflict);
        }
    }

    private boolean isBase(Place place, INDArray value) {
        INDArray base = base(place);
        if (base == null || !Arrays.equals(base.shape(), value.shape())) {
            return false;
        }
        boolean coarse = base.dataType().width() < DataType.FLOAT.width() || value.dataType().width() < DataType.FLOAT.width();
        INDArray difference = value.castTo(DataType.DOUBLE).sub(base.castTo(DataType.DOUBLE));
        return difference.norm2Number().doubleValue() <= (coarse ? ROUNDING_OF_16_BITS : ROUNDING)
                * base.castTo(DataType.DOUBLE).norm2Number().doubleValue();
    }

    private IllegalArgumentException untied(TorchParameter one, TorchParameter other, String what) {
        return new IllegalArgumentException("Layer \"" + one.layer() + "\": \"" + one.tensor() + "\" and \"" + other.tensor()
                + "\" are one parameter of the network, but " + what + ". PyTorch uses two parameters. " + UNTIED);
    }

    /** Where PyTorch has a layer's parameters in several modules, an adapter may hold some of them: the others are the base's. */
    private void completeLayers() {
        for (String layer : seenLayers) {
            List<String> missing = new ArrayList<>();
            for (TorchParameter parameter : view.torch().of(layer)) {
                Place place = new Place(layer, parameter.key());
                AdaptedView.TrainedLayer trained = view.trainedLayers().get(layer);
                if (!byPlace.containsKey(place) && trained != null && !adapter.own().contains(layer)) {
                    INDArray base = base(place);
                    if (base == null) {
                        missing.add(parameter.tensor());
                    } else {
                        INDArray value = base.dup();
                        assignments.add(() -> Objects.requireNonNull(trained.table().get(place.key())).assign(value));
                    }
                }
            }
            if (!missing.isEmpty()) {
                throw new IllegalArgumentException("Layer \"" + layer + "\": the adapter lacks " + missing + ", and the base's "
                        + "values for it are not available. Make the network with LoRA.apply(base, adapter)");
            }
        }
    }
}
