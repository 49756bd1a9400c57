package io.github.dl4jlora.evidence.snippet;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BaseLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;

import java.util.List;
import java.util.Map;

/**
 * A base with {@link SnippetLayer}s beside its dense layers, put together by hand from DL4J's own parts: the dense layer, frozen,
 * the snippet beside it, their sum, and the activation on top.
 */
public final class SnippetNetwork {

    private static final String FROZEN = ".frozen";
    private static final String PATH = ".path";
    private static final String SUM = ".sum";

    private final ComputationGraph base;
    private final List<String> targets;
    private final List<String> trainable;
    private final GraphBuilder graph;

    private SnippetNetwork(ComputationGraph base, List<String> targets, List<String> trainable, double rate) {
        this.base = base;
        this.targets = targets;
        this.trainable = trainable;
        graph = new NeuralNetConfiguration.Builder().updater(new Adam(rate)).graphBuilder();
    }

    /**
     * Makes such a network. The base is not changed.
     *
     * @param targets   patterns of its dense layers
     * @param trainable names of layers that train in full
     * @param adapted   the base as freshly adapted by the library, from which each A is copied
     */
    public static ComputationGraph of(ComputationGraph base, List<String> targets, List<String> trainable, int rank, double alpha,
                                      double rate, ComputationGraph adapted) {
        return new SnippetNetwork(base, targets, trainable, rate).build(rank, alpha, rate, adapted);
    }

    private ComputationGraph build(int rank, double alpha, double rate, ComputationGraph adapted) {
        ComputationGraphConfiguration configuration = base.getConfiguration();
        graph.addInputs(configuration.getNetworkInputs());
        configuration.getVertices().forEach((name, vertex) -> {
            String[] inputs = configuration.getVertexInputs().get(name).toArray(String[]::new);
            if (isTarget(name)) {
                addBeside(name, (DenseLayer) layer(vertex), inputs, rank, alpha);
            } else if (!(vertex instanceof LayerVertex)) {
                graph.addVertex(name, vertex.clone(), inputs);
            } else if (trainable.contains(name)) {
                BaseLayer trained = (BaseLayer) layer(vertex);
                trained.setIUpdater(new Adam(rate));
                graph.addLayer(name, trained, inputs);
            } else {
                graph.addLayer(name, new FrozenLayerWithBackprop(layer(vertex)), inputs);
            }
        });
        graph.setOutputs(configuration.getNetworkOutputs().toArray(String[]::new));
        ComputationGraph network = new ComputationGraph(graph.build());
        network.init();
        configuration.getVertices().keySet().stream().filter(name -> base.getLayer(name) != null).forEach(name -> {
            copy(base.getLayer(name).paramTable(), network.getLayer(isTarget(name) ? name + FROZEN : name).paramTable());
            if (isTarget(name)) {
                network.getLayer(name + PATH).getParam(SnippetLayer.A).assign(adapted.getLayer(name).getParam(SnippetLayer.A));
            }
        });
        return network;
    }

    private boolean isTarget(String name) {
        return targets.stream().anyMatch(name::matches);
    }

    private static Layer layer(GraphVertex vertex) {
        return ((LayerVertex) vertex).getLayerConf().getLayer().clone();
    }

    private void addBeside(String name, DenseLayer dense, String[] inputs, int rank, double alpha) {
        ActivationLayer activation = new ActivationLayer(dense.getActivationFn());
        dense.setActivationFn(new ActivationIdentity());
        graph.addLayer(name + FROZEN, new FrozenLayerWithBackprop(dense), inputs);
        graph.addLayer(name + PATH, new SnippetLayer(dense.getNIn(), dense.getNOut(), rank, alpha), inputs);
        graph.addVertex(name + SUM, new ElementWiseVertex(ElementWiseVertex.Op.Add), name + FROZEN, name + PATH);
        graph.addLayer(name, activation, name + SUM);
    }

    private static void copy(Map<String, INDArray> from, Map<String, INDArray> to) {
        from.forEach((key, value) -> to.get(key).assign(value));
    }
}
