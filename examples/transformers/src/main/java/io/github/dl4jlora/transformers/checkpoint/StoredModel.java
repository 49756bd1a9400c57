package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Transformer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** The values of one graph from a folder: every parameter is known to exist, in its shape, before the first is read. */
final class StoredModel implements BaseSource.Values {

    private static final Logger LOG = LoggerFactory.getLogger(StoredModel.class);

    private final TensorFiles files;
    private final TensorNames names;
    private final Map<String, List<TorchParameter>> layers = new LinkedHashMap<>();
    private final Map<String, NeuralNetConfiguration> newLayers = new LinkedHashMap<>();
    private Map<String, String> tied = Map.of();

    private StoredModel(TensorFiles files, TensorNames names) {
        this.files = files;
        this.names = names;
    }

    /**
     * Finds the tensors of a graph's layers.
     *
     * @param added layers that start as their configuration says, whatever the files have
     * @throws IOException              if the files lack a tensor, have it in another shape, or have one that is unknown
     * @throws IllegalArgumentException if a layer is not of the family and was not added, or one was added that is not there
     */
    static StoredModel of(ComputationGraphConfiguration graph, Family family, TensorFiles files, TensorNames names,
            Set<String> added) throws IOException {
        StoredModel model = new StoredModel(files, names);
        for (Map.Entry<String, GraphVertex> vertex : graph.getVertices().entrySet()) {
            if (vertex.getValue().numParams(true) > 0) {
                model.add(vertex.getKey(), vertex.getValue(), family, added.contains(vertex.getKey()));
            }
        }
        model.requireAdded(added);
        model.requireAll(graph.getVertices().containsKey(Transformer.LOGITS));
        return model;
    }

    private void add(String name, GraphVertex vertex, Family family, boolean isNew) {
        NeuralNetConfiguration conf = vertex instanceof LayerVertex layer ? layer.getLayerConf() : null;
        List<TorchParameter> stored = conf == null ? List.of() : family.names().parameters(name, conf.getLayer());
        if (isNew && conf != null) {
            newLayers.put(name, conf);
        } else if (!stored.isEmpty()) {
            layers.put(name, stored);
        } else {
            throw new IllegalArgumentException("Layer \"" + name + "\" is a "
                    + LayerSettings.kind(conf == null ? vertex : conf.getLayer()) + ", which no checkpoint of " + family
                    + " has. Name it among the new layers");
        }
    }

    private void requireAdded(Set<String> added) {
        Set<String> unknown = new TreeSet<>(added);
        unknown.removeAll(newLayers.keySet());
        if (!unknown.isEmpty()) {
            List<String> lacking = lacking();
            throw new IllegalArgumentException("The graph has no layers with parameters named " + unknown
                    + (lacking.isEmpty() ? "" : ". Did you mean " + Few.of(lacking) + ", which " + names + " lacks?"));
        }
    }

    private void requireAll(boolean isLanguageModel) throws IOException {
        Set<String> used = new HashSet<>();
        for (TorchParameter parameter : parameters()) {
            String found = names.find(parameter.tensor());
            if (found == null) {
                throw missing();
            }
            files.requireShape(found, parameter.shape());
            used.add(found);
        }
        if (isLanguageModel) {
            tied = names.tied();
            used.addAll(tied.keySet());
            used.addAll(tied.values());
        }
        names.requireKnown(used);
    }

    private List<TorchParameter> parameters() {
        return layers.values().stream().flatMap(List::stream).toList();
    }

    /** {@return the layers of which the files lack a tensor} */
    private List<String> lacking() {
        return layers.entrySet().stream().filter(layer -> layer.getValue().stream().anyMatch(this::isMissing))
                .map(Map.Entry::getKey).toList();
    }

    private boolean isMissing(TorchParameter parameter) {
        return names.find(parameter.tensor()) == null;
    }

    private CheckpointException missing() {
        List<String> all = parameters().stream().filter(this::isMissing).map(TorchParameter::tensor).toList();
        return new CheckpointException(
                names + " lacks " + (all.size() == 1 ? "the tensor " : all.size() + " tensors, among them ")
                + Few.of(all) + ". A part that was not saved is never made up: ask for a model that was saved, or name the "
                + "layers that should start at random, model(graph, newLayers…), which here are "
                + Few.of(lacking()));
    }

    @Override
    public void fill(String layer, Map<String, INDArray> parameters) throws IOException {
        if (newLayers.containsKey(layer)) {
            LOG.warn("Layer \"{}\" is new and starts at random. Train it, together with adapters by "
                    + "trainable(\"{}\")", layer, layer);
            start(layer, newLayers.get(layer), parameters);
            return;
        }
        for (TorchParameter parameter : layers.get(layer)) {
            String found = names.find(parameter.tensor());
            files.readInto(found, parameter.oriented(parameters.get(parameter.key())));
            requireTied(found);
        }
    }

    /** With other values in the decoder it would be another model. */
    private void requireTied(String to) throws IOException {
        for (Map.Entry<String, String> pair : tied.entrySet()) {
            if (pair.getValue().equals(to) && !files.isSame(pair.getKey(), to)) {
                throw new CheckpointException(
                        files.fileOf(to) + ": tensor \"" + pair.getKey() + "\" differs from \"" + to + "\", but "
                        + "config.json says that the decoder is tied to it. If it is not, write \"tie_word_embeddings\": false "
                        + "there");
            }
        }
    }

    /** Starts a layer as DL4J does. */
    private static void start(String layer, NeuralNetConfiguration conf, Map<String, INDArray> parameters) {
        INDArray any = parameters.values().iterator().next();
        try (KeptRandom kept = new KeptRandom(); MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
             INDArray flat = Nd4j.zeros(any.dataType(), 1, conf.getLayer().initializer().numParams(conf))) {
            Nd4j.getRandom().setSeed(conf.getSeed() + layer.hashCode());
            conf.getLayer().initializer().init(conf.clone(), flat, true)
                    .forEach((key, values) -> parameters.get(key).assign(values));
        }
    }
}
