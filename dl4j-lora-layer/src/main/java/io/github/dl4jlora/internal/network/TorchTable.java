package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.conf.TorchNames;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** What PyTorch calls the parameters of a network, as far as a layer of the network says so by {@link TorchNames}. */
public final class TorchTable {

    private final Map<String, TorchParameter> byTensor = new LinkedHashMap<>();
    private final Map<String, List<TorchParameter>> ofLayers = new LinkedHashMap<>();
    /** Second names of parameters, under which another layer computes with them. */
    private final List<TorchParameter> others = new ArrayList<>();

    private TorchTable() {
    }

    /**
     * @throws IllegalArgumentException if two parameters get one name
     */
    public static TorchTable of(List<Node> nodes) {
        TorchTable table = new TorchTable();
        List<TorchNames> namers = nodes.stream().map(Node::stockLayer).filter(layer -> layer != null)
                .map(StockLayers::innermost).filter(TorchNames.class::isInstance).map(TorchNames.class::cast).toList();
        for (Node node : namers.isEmpty() ? List.<Node>of() : nodes) {
            Layer stock = node.stockLayer();
            if (stock != null) {
                namers.stream().map(namer -> namer.torchParameters(node.name(), stock)).filter(named -> !named.isEmpty())
                        .findFirst().ifPresent(named -> named.forEach(parameter -> table.add(node.name(), parameter)));
            }
        }
        return table;
    }

    private void add(String layer, TorchParameter parameter) {
        TorchParameter twin = byTensor.put(parameter.tensor(), parameter);
        if (twin != null) {
            throw new IllegalArgumentException("The parameters " + twin.layer() + "/" + twin.key() + " and " + parameter.layer()
                    + "/" + parameter.key() + " would both be called \"" + parameter.tensor() + "\" in an adapter file. Rename "
                    + "one of the layers");
        }
        if (parameter.layer().equals(layer)) {
            ofLayers.computeIfAbsent(layer, name -> new ArrayList<>()).add(parameter);
        } else {
            others.add(parameter);
        }
    }

    /** The parameter of that name; null if it is unknown. */
    public @Nullable TorchParameter parameter(String tensor) {
        return byTensor.get(tensor);
    }

    /** All parameters by PyTorch's name. */
    public Map<String, TorchParameter> parameters() {
        return byTensor;
    }

    /** The modules that have a parameter. */
    public Set<String> modules() {
        return byTensor.values().stream().map(TorchParameter::module).collect(Collectors.toSet());
    }

    /** Whether the layer's names are known here. */
    public boolean knows(String layer) {
        return ofLayers.containsKey(layer);
    }

    /** A layer's own parameters; none if they are unknown. */
    public List<TorchParameter> of(String layer) {
        return ofLayers.getOrDefault(layer, List.of());
    }

    /** All that PyTorch has of one parameter, its own name first. */
    public List<TorchParameter> namesOf(String layer, String key) {
        List<TorchParameter> names = new ArrayList<>(of(layer).stream().filter(own -> own.key().equals(key)).toList());
        others.stream().filter(other -> other.layer().equals(layer) && other.key().equals(key)).forEach(names::add);
        return names;
    }

    /**
     * The layers that hold a parameter of a module whose name matches. A module that only shares the parameters of other layers
     * does not count.
     */
    public Set<String> layersOf(Pattern pattern) {
        Set<String> modules = ofLayers.values().stream().flatMap(List::stream).map(TorchParameter::module)
                .filter(module -> pattern.matcher(module).matches()).collect(Collectors.toSet());
        return byTensor.values().stream().filter(parameter -> modules.contains(parameter.module())).map(TorchParameter::layer)
                .collect(Collectors.toSet());
    }

    /** Whether the pattern matches a module that only shares the parameters of other layers. */
    public boolean isOtherName(Pattern pattern) {
        return others.stream().anyMatch(parameter -> pattern.matcher(parameter.module()).matches());
    }
}
