package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Pooling;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Finds the modules of a sentence model in a network, from its output back to the token vectors. */
final class SentenceNetwork {

    private final Map<String, GraphVertex> vertices;
    private final Map<String, List<String>> inputs;
    private final TransformerShape shape;

    private SentenceNetwork(ComputationGraphConfiguration graph, TransformerShape shape) {
        this.vertices = graph.getVertices();
        this.inputs = graph.getVertexInputs();
        this.shape = shape;
    }

    /**
     * {@return the modules of a network whose one output is made of a pooling of the token vectors, dense layers and
     * normalisation} Null for any other network. A loss on top does not count.
     *
     * @throws IllegalArgumentException if a dense layer has layer normalisation, an activation that has no class in PyTorch, or
     *                                  the name of another module
     */
    static SentenceModules of(ComputationGraphConfiguration graph, TransformerShape shape) {
        return graph.getNetworkOutputs().size() != 1 ? null
                : new SentenceNetwork(graph, shape).modules(graph.getNetworkOutputs().get(0));
    }

    private SentenceModules modules(String output) {
        LinkedList<SentenceModules.Step> steps = new LinkedList<>();
        String name = output;
        while (vertices.get(name) != null) {
            GraphVertex vertex = vertices.get(name);
            List<Pooling> pooling = pooling(name);
            if (!pooling.isEmpty()) {
                return new SentenceModules(pooling, numbered(steps));
            }
            Layer layer = vertex instanceof LayerVertex holder ? holder.getLayerConf().getLayer() : null;
            if (vertex instanceof L2NormalizeVertex normalize && normalize.equals(new L2NormalizeVertex())) {
                steps.addFirst(new SentenceModules.Normalize(""));
            } else if (layer != null && layer.getClass() == DenseLayer.class && name.matches("\\w[\\w.-]*\\.linear")) {
                steps.addFirst(dense(name, (DenseLayer) layer));
            } else if (!LayerSettings.passesOn(vertex)) {
                return null;
            }
            name = inputs.get(name).get(0);
        }
        return null;
    }

    private static SentenceModules.Dense dense(String name, DenseLayer layer) {
        if (layer.hasLayerNorm()) {
            throw new IllegalArgumentException("Layer \"" + name + "\" has hasLayerNorm(true), whose gain a sentence model "
                    + "cannot have in a folder: train it with hasLayerNorm(false), or keep the network by ModelSerializer");
        }
        if (TorchActivations.name(layer.getActivationFn()) == null) {
            throw new IllegalArgumentException("Layer \"" + name + "\" has the activation " + layer.getActivationFn()
                    + ", which a sentence model cannot have in a folder; it can have one of " + TorchActivations.names());
        }
        return new SentenceModules.Dense(name.substring(0, name.length() - SentenceModules.Dense.LINEAR.length()),
                layer.getNIn(), layer.getNOut(), layer.hasBias(), layer.getActivationFn());
    }

    /** With folders for divisions by the length, which have the number of the module in front. */
    private static List<SentenceModules.Step> numbered(List<SentenceModules.Step> steps) {
        List<SentenceModules.Step> numbered = new ArrayList<>();
        Set<String> paths = new HashSet<>(Set.of(SentenceModules.POOLING));
        for (SentenceModules.Step step : steps) {
            SentenceModules.Step named = step instanceof SentenceModules.Normalize
                    ? new SentenceModules.Normalize(numbered.size() + 2 + "_Normalize") : step;
            if (!paths.add(named.path())) {
                throw new IllegalArgumentException("A dense layer is named \"" + named.path() + SentenceModules.Dense.LINEAR
                        + "\", but \"" + named.path() + "\" is the folder of another module: name dense layers as "
                        + "\"2_Dense.linear\"");
            }
            numbered.add(named);
        }
        return numbered;
    }

    /** The modes of a vertex that pools the token vectors, or concatenates what does; none for any other vertex. */
    private List<Pooling> pooling(String name) {
        List<String> parts = vertices.get(name) instanceof MergeVertex ? inputs.get(name) : List.of(name);
        List<Pooling> modes = new ArrayList<>();
        for (String part : parts) {
            Pooling mode = mode(part);
            if (mode == null || modes.contains(mode)) {
                return List.of();
            }
            modes.add(mode);
        }
        return modes;
    }

    private Pooling mode(String name) {
        String rows = Transformer.output(shape, Head.tokenVectors());
        return inputs.get(name) == null || !inputs.get(name).get(0).equals(rows) ? null
                : Arrays.stream(Pooling.values()).filter(mode -> mode.vertex(shape.padding()).equals(vertices.get(name)))
                .findFirst().orElse(null);
    }
}
