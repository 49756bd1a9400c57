package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TorchLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** Copies of what a network trained without A and B, as an adapter's file has it: layers in full, and biases. */
final class CapturedValues {

    private final AdaptedView view;
    private final Map<String, Map<String, INDArray>> trained = new LinkedHashMap<>();
    private final Map<String, INDArray> biases = new LinkedHashMap<>();
    private final Set<String> own = new HashSet<>();

    CapturedValues(AdaptedView view) {
        this.view = view;
        view.biases().forEach(this::addBias);
        view.trainedLayers().forEach(this::addLayer);
        addNeighbours();
    }

    AdapterContent with(Map<String, Delta> deltas) {
        Set<String> modules = view.torch().modules();
        return new AdapterContent(deltas, trained, biases.isEmpty() ? Biases.NONE : new Biases(biases, view.biasTraining()),
                view.dropout(), own, modules, modules);
    }

    /** By name, see {@link Biases}. */
    Map<String, INDArray> biases() {
        return biases;
    }

    private void addBias(String name, INDArray value) {
        TorchParameter parameter = view.torch().parameter(name + Biases.SUFFIX);
        if (parameter == null) {
            biases.put(name, value.dup());
            if (!TorchLayout.isInTorch(view.biased(name))) {
                own.add(name);
            }
        } else {
            view.torch().namesOf(parameter.layer(), parameter.key()).forEach(each -> biases.put(each.module(), value.dup()));
        }
    }

    private void addLayer(String name, AdaptedView.TrainedLayer layer) {
        if (!view.torch().knows(name)) {
            Map<String, INDArray> values = new LinkedHashMap<>();
            TorchLayout.keysByName(layer.conf(), layer.table().keySet()).forEach((torchName, key) ->
                    values.put(torchName, TorchLayout.toTorch(layer.conf(), key,
                            Objects.requireNonNull(layer.table().get(key))).dup('c')));
            trained.put(name, values);
            if (!TorchLayout.isInTorch(layer.conf())) {
                own.add(name);
            }
            return;
        }
        layer.table().forEach((key, value) -> view.torch().namesOf(name, key).forEach(parameter -> {
            if (view.biasTraining() == BiasTraining.ALL && isBiasAlone(name)) {
                biases.put(parameter.module(), value.dup());
            } else {
                add(parameter, value);
            }
        }));
    }

    /** Whether it is one of those layers that hold nothing but a bias: these train with the biases of all layers. */
    private boolean isBiasAlone(String layer) {
        return view.torch().of(layer).stream().allMatch(parameter -> parameter.tensor().endsWith(Biases.SUFFIX));
    }

    private void add(TorchParameter parameter, INDArray value) {
        String name = parameter.tensor().substring(parameter.tensor().lastIndexOf('.') + 1);
        trained.computeIfAbsent(parameter.module(), module -> new LinkedHashMap<>()).put(name,
                parameter.oriented(value).dup('c'));
    }

    /** Adds what else is in the trained modules, since PEFT reads a module as a whole. */
    private void addNeighbours() {
        Set<String> modules = Set.copyOf(trained.keySet());
        view.torch().parameters().forEach((tensor, parameter) -> {
            boolean inside = modules.stream().anyMatch(module -> !own.contains(module) && tensor.startsWith(module + "."));
            String name = tensor.substring(tensor.lastIndexOf('.') + 1);
            boolean isHeld = trained.getOrDefault(parameter.module(), Map.of()).containsKey(name)
                    || tensor.endsWith(Biases.SUFFIX) && biases.containsKey(parameter.module());
            if (inside && !isHeld && !view.isAdapted(parameter.layer())) {
                Map<String, INDArray> frozen = Objects.requireNonNull(view.stockTable(parameter.layer()));
                add(parameter, Objects.requireNonNull(frozen.get(parameter.key())));
            }
        });
    }
}
