package io.github.dl4jlora.internal.network;

import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.MultiDataSet;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A ComputationGraph as a {@link Network}. */
final class GraphNetwork extends Network<ComputationGraph> {

    private final ComputationGraph graph;
    private final List<Node> nodes = new ArrayList<>();

    GraphNetwork(ComputationGraph graph) {
        this.graph = graph;
        ComputationGraphConfiguration conf = graph.getConfiguration();
        for (int index : graph.topologicalSortOrder()) {
            String name = graph.getVertices()[index].getVertexName();
            GraphVertex vertex = conf.getVertices().get(name);
            if (vertex == null) {
                continue;
            }
            List<String> inputs = conf.getVertexInputs().getOrDefault(name, List.of());
            if (vertex instanceof LayerVertex layer) {
                nodes.add(new Node(name, name, layer.getLayerConf().getLayer(), null, inputs, layer.getPreProcessor()));
            } else {
                nodes.add(new Node(name, name, null, vertex, inputs, null));
            }
        }
    }

    @Override
    public ComputationGraph model() {
        return graph;
    }

    @Override
    public List<Node> nodes() {
        return nodes;
    }

    @Override
    public Trainable runtime(String name) {
        org.deeplearning4j.nn.graph.vertex.GraphVertex vertex = graph.getVertex(name);
        return vertex.hasLayer() ? vertex.getLayer() : vertex;
    }

    @Override
    public boolean isGraph() {
        return true;
    }

    @Override
    public List<String> inputs() {
        return graph.getConfiguration().getNetworkInputs();
    }

    @Override
    public List<String> outputs() {
        return graph.getConfiguration().getNetworkOutputs();
    }

    @Override
    public @Nullable InputPreProcessor preprocessor(Node node) {
        return graph.getConfiguration().getVertices().get(node.name()) instanceof LayerVertex layer ? layer.getPreProcessor()
                : null;
    }

    @Override
    public boolean trainsInWorkspaces() {
        return graph.getConfiguration().getTrainingWorkspaceMode() != WorkspaceMode.NONE;
    }

    @Override
    public long seed() {
        return graph.getConfiguration().getDefaultConfiguration().getSeed();
    }

    @Override
    public DataType dataType() {
        return graph.getConfiguration().getDataType();
    }

    @Override
    public Updater updater() {
        return graph.getUpdater();
    }

    @Override
    public Updater updaterSoFar() {
        return graph.getUpdater(false);
    }

    @Override
    public void fit(MultiDataSet batch) {
        requireLabels(batch);
        graph.fit(batch);
    }

    @Override
    public double score(MultiDataSet batch) {
        requireLabels(batch);
        return graph.score(batch, false);
    }

    @Override
    public void resetCounts() {
        ComputationGraphConfiguration conf = graph.getConfiguration();
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        conf.getVertices().values().forEach(vertex -> {
            if (vertex instanceof LayerVertex layer) {
                layer.getLayerConf().setIterationCount(0);
                layer.getLayerConf().setEpochCount(0);
            }
        });
    }

    @Override
    public void infer(MultiDataSet batch) {
        requireInputs(batch);
        graph.output(false, batch.getFeatures(), batch.getFeaturesMaskArrays(), batch.getLabelsMaskArrays());
    }

    @Override
    public void gradients(MultiDataSet batch) {
        requireInputs(batch);
        requireLabels(batch);
        graph.getConfiguration().setBackpropType(BackpropType.Standard);
        graph.setInputs(batch.getFeatures());
        graph.setLabels(batch.getLabels());
        graph.setLayerMaskArrays(batch.getFeaturesMaskArrays(), batch.getLabelsMaskArrays());
        graph.computeGradientAndScore();
        graph.clearLayerMaskArrays();
    }

    private void requireLabels(MultiDataSet batch) {
        if (batch.getLabels() == null || batch.getLabels().length != graph.getNumOutputArrays()) {
            throw new IllegalArgumentException("The network has the outputs " + graph.getConfiguration().getNetworkOutputs()
                    + ", but a batch of the data has " + (batch.getLabels() == null ? 0 : batch.getLabels().length)
                    + " arrays of labels. Give a MultiDataSetIterator with one for each output");
        }
    }

    private void requireInputs(MultiDataSet batch) {
        if (batch.getFeatures() == null || batch.getFeatures().length != graph.getNumInputArrays()) {
            throw new IllegalArgumentException("The network has the inputs " + graph.getConfiguration().getNetworkInputs()
                    + ", but a batch of the data has " + (batch.getFeatures() == null ? 0 : batch.getFeatures().length)
                    + " arrays of features. Give a MultiDataSetIterator with one for each input");
        }
    }

    @Override
    public Network<ComputationGraph> rebuild(Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        return new GraphNetwork(RebuiltNetworks.graph(graph.getConfiguration(), layers, vertices));
    }
}
