package io.github.dl4jlora.internal.rewrite;

import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.api.Updater;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A MultiLayerNetwork as a {@link Network}: a chain. Layers without a name of their own, or with one that an earlier layer
 * has, go by their index; where that is the name of another layer, by "layer" and the index.
 */
public final class LayersNetwork extends Network<MultiLayerNetwork> {

    static final String INPUT = "(network input)";

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
            nodes.add(new Node(name, own == null ? name : own, layer, null, List.of(input), conf.getInputPreProcess(i) != null));
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
    MultiLayerNetwork model() {
        return network;
    }

    @Override
    List<Node> nodes() {
        return nodes;
    }

    @Override
    Trainable runtime(String name) {
        return network.getLayer(indices.get(node(name).name()));
    }

    @Override
    boolean isGraph() {
        return false;
    }

    @Override
    List<String> inputs() {
        return List.of(INPUT);
    }

    @Override
    InputPreProcessor preprocessor(Node node) {
        return network.getLayerWiseConfigurations().getInputPreProcess(indices.get(node.name()));
    }

    @Override
    boolean trainsInWorkspaces() {
        return network.getLayerWiseConfigurations().getTrainingWorkspaceMode() != WorkspaceMode.NONE;
    }

    @Override
    long seed() {
        return network.getDefaultConfiguration().getSeed();
    }

    @Override
    DataType dataType() {
        return network.getLayerWiseConfigurations().getDataType();
    }

    @Override
    Updater updater() {
        return network.getUpdater();
    }

    @Override
    Updater updaterSoFar() {
        return network.getUpdater(false);
    }

    @Override
    void fit(MultiDataSet batch) {
        network.fit(single(batch));
    }

    @Override
    double score(MultiDataSet batch) {
        return network.score(single(batch), false);
    }

    /** Not by DL4J's own {@code fit(MultiDataSet)}, which loses the labels' mask where features have none. */
    private static DataSet single(MultiDataSet batch) {
        if (batch.getFeatures().length != 1 || batch.getLabels() == null || batch.getLabels().length != 1) {
            throw new IllegalArgumentException("A MultiLayerNetwork has one input and one output, but the data has "
                    + batch.getFeatures().length + " features and " + (batch.getLabels() == null ? 0 : batch.getLabels().length)
                    + " labels. Give it data of one each, or use a ComputationGraph");
        }
        return new DataSet(batch.getFeatures(0), batch.getLabels(0), DataPass.first(batch.getFeaturesMaskArrays()),
                DataPass.first(batch.getLabelsMaskArrays()));
    }

    @Override
    void resetCounts() {
        MultiLayerConfiguration conf = network.getLayerWiseConfigurations();
        conf.setIterationCount(0);
        conf.setEpochCount(0);
        conf.getConfs().forEach(layer -> layer.setIterationCount(0));
    }

    @Override
    void infer(MultiDataSet batch) {
        network.output(batch.getFeatures(0), false, DataPass.first(batch.getFeaturesMaskArrays()),
                DataPass.first(batch.getLabelsMaskArrays()));
    }

    @Override
    void gradients(MultiDataSet batch) {
        network.getLayerWiseConfigurations().setBackpropType(BackpropType.Standard);
        network.setInput(batch.getFeatures(0));
        network.setLabels(batch.getLabels(0));
        network.setLayerMaskArrays(DataPass.first(batch.getFeaturesMaskArrays()), DataPass.first(batch.getLabelsMaskArrays()));
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
    }

    @Override
    Network<MultiLayerNetwork> rebuild(Map<String, Layer> layers, Map<String, GraphVertex> vertices) {
        MultiLayerConfiguration from = network.getLayerWiseConfigurations();
        MultiLayerConfiguration conf = from.clone();
        conf.setIterationCount(from.getIterationCount());
        conf.setEpochCount(from.getEpochCount());
        long length = 0;
        for (int i = 0; i < nodes.size(); i++) {
            NeuralNetConfiguration layerConf = conf.getConf(i);
            layerConf.clearVariables();
            layerConf.setLayer(layers.getOrDefault(nodes.get(i).name(), layerConf.getLayer()));
            length += layerConf.getLayer().initializer().numParams(layerConf);
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            MultiLayerNetwork built = length == 0 ? new FrozenChain(conf) : new MultiLayerNetwork(conf);
            built.init(Nd4j.create(conf.getDataType(), 1, length), false);
            return new LayersNetwork(built);
        }
    }
}
