package io.github.dl4jlora.internal.network;

import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A MultiLayerNetwork as a {@link Network}: a chain. Layers without a name of their own, or with one that an earlier layer
 * has, go by their index; where that is the name of another layer, by "layer" and the index.
 */
final class LayersNetwork extends Network<MultiLayerNetwork> {

    private static final String INPUT = "(network input)";

    private final MultiLayerNetwork network;
    private final List<Node> nodes = new ArrayList<>();
    private final Map<String, Integer> indices = new HashMap<>();

    LayersNetwork(MultiLayerNetwork network) {
        this.network = network;
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations();
        Set<String> given = conf.getConfs().stream().map(layer -> layer.getLayer().getLayerName()).collect(Collectors.toSet());
        String input = INPUT;
        for (int i = 0; i < conf.getConfs().size(); i++) {
            Layer layer = conf.getConf(i).getLayer();
            String own = layer.getLayerName();
            String name = own == null || indices.containsKey(own) ? nameOf(i, given) : own;
            indices.put(name, i);
            nodes.add(new Node(name, own == null ? name : own, layer, null, List.of(input), conf.getInputPreProcess(i)));
            input = name;
        }
    }

    private static String nameOf(int index, Set<String> given) {
        String name = String.valueOf(index);
        while (given.contains(name)) {
            name = "layer" + name;
        }
        return name;
    }

    @Override
    public MultiLayerNetwork model() {
        return network;
    }

    @Override
    public List<Node> nodes() {
        return nodes;
    }

    @Override
    public Trainable runtime(String name) {
        return network.getLayer(index(node(name)));
    }

    private int index(Node node) {
        return Objects.requireNonNull(indices.get(node.name()));
    }

    @Override
    public boolean isGraph() {
        return false;
    }

    @Override
    public List<String> inputs() {
        return List.of(INPUT);
    }

    @Override
    public List<String> outputs() {
        return List.of(nodes.get(nodes.size() - 1).name());
    }

    @Override
    public InputPreProcessor preprocessor(Node node) {
        return network.getLayerWiseConfigurations().getInputPreProcess(index(node));
    }

    @Override
    public boolean trainsInWorkspaces() {
        return network.getLayerWiseConfigurations().getTrainingWorkspaceMode() != WorkspaceMode.NONE;
    }

    @Override
    public long seed() {
        return network.getDefaultConfiguration().getSeed();
    }

    @Override
    public DataType dataType() {
        return network.getLayerWiseConfigurations().getDataType();
    }

    @Override
    public Updater updater() {
        return network.getUpdater();
    }

    @Override
    public Updater updaterSoFar() {
        return network.getUpdater(false);
    }

    @Override
    public void fit(MultiDataSet batch) {
        network.fit(single(batch));
    }

    @Override
    public double score(MultiDataSet batch) {
        return network.score(single(batch), false);
    }

    /** Not by DL4J's own {@code fit(MultiDataSet)}, which loses the labels' mask where features have none. */
    private static DataSet single(MultiDataSet batch) {
        if (batch.getFeatures().length != 1 || batch.getLabels() == null || batch.getLabels().length != 1) {
            throw new IllegalArgumentException("A MultiLayerNetwork has one input and one output, but the data has "
                    + batch.getFeatures().length + " arrays of features and " + (batch.getLabels() == null ? 0
                    : batch.getLabels().length) + " of labels. Give it data with one of each, or use a ComputationGraph");
        }
        return new DataSet(batch.getFeatures(0), batch.getLabels(0), first(batch.getFeaturesMaskArrays()),
                first(batch.getLabelsMaskArrays()));
    }

    @Override
    public void resetCounts() {
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations();
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        conf.getConfs().forEach(layer -> {
            layer.setIterationCount(0);
            layer.setEpochCount(0);
        });
    }

    @Override
    public void infer(MultiDataSet batch) {
        network.output(batch.getFeatures(0), false, first(batch.getFeaturesMaskArrays()),
                first(batch.getLabelsMaskArrays()));
    }

    @Override
    public void gradients(MultiDataSet batch) {
        network.getLayerWiseConfigurations().setBackpropType(BackpropType.Standard);
        network.setInput(batch.getFeatures(0));
        network.setLabels(batch.getLabels(0));
        network.setLayerMaskArrays(first(batch.getFeaturesMaskArrays()), first(batch.getLabelsMaskArrays()));
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
    }

    @Override
    public Network<MultiLayerNetwork> rebuild(Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        return new LayersNetwork(RebuiltNetworks.chain(network.getLayerWiseConfigurations(),
                index -> layers.get(nodes.get(index).name())));
    }

    /** The only mask, or none. */
    private static @Nullable INDArray first(INDArray @Nullable [] masks) {
        return masks == null || masks.length == 0 ? null : masks[0];
    }
}
