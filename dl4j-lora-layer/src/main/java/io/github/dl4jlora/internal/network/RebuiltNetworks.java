package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.io.NotSerializableException;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntFunction;

/**
 * Makes DL4J's network of another one's configuration, with some layers replaced. Its parameters are zero; iteration and epoch
 * counts are kept. ND4J's random generator is not touched, since {@code init} gets its vector.
 *
 * <p>Where nothing is left that could train, it is a frozen network: DL4J's {@code fit} takes a network without parameters and
 * does nothing, without a word and without asking a layer; these refuse. All else is DL4J's.
 */
final class RebuiltNetworks {

    private RebuiltNetworks() {
    }

    /**
     * @param layers   replacements by name
     * @param vertices replacements by name, for nodes that are no layers
     */
    static ComputationGraph graph(ComputationGraphConfiguration from, Map<String, Layer> layers,
            Map<String, GraphVertex> vertices) {
        ComputationGraphConfiguration conf = StockLayers.copy(from);
        // clone() forgets these.
        conf.setIterationCount(from.getIterationCount());
        conf.setEpochCount(from.getEpochCount());
        conf.setTopologicalOrder(from.getTopologicalOrder());
        conf.setTopologicalOrderStr(from.getTopologicalOrderStr());
        conf.getVertices().replaceAll((name, vertex) -> {
            if (vertex instanceof LayerVertex layerVertex) {
                LayerVertex original = (LayerVertex) Objects.requireNonNull(from.getVertices().get(name));
                layerVertex.setOutputVertex(original.isOutputVertex());
                NeuralNetConfiguration layerConf = layerVertex.getLayerConf();
                layerConf.clearVariables();
                layerConf.setLayer(StockLayers.withOwnState(layers.getOrDefault(name, layerConf.getLayer())));
                return layerVertex;
            }
            return vertices.getOrDefault(name, vertex);
        });
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            long length = conf.getVertices().values().stream().mapToLong(vertex -> vertex.numParams(true)).sum();
            ComputationGraph built = length == 0 ? new FrozenGraph(conf) : new ComputationGraph(conf);
            built.init(Nd4j.create(conf.getDataType(), 1, length), false);
            return built;
        }
    }

    /** @param replacements by index; null for a layer that stays */
    static MultiLayerNetwork chain(MultiLayerConfiguration from, IntFunction<@Nullable Layer> replacements) {
        MultiLayerConfiguration conf = from.clone();
        conf.setIterationCount(from.getIterationCount());
        conf.setEpochCount(from.getEpochCount());
        long length = 0;
        for (int i = 0; i < conf.getConfs().size(); i++) {
            NeuralNetConfiguration layerConf = conf.getConf(i);
            layerConf.clearVariables();
            layerConf.setLayer(StockLayers.withOwnState(Objects.requireNonNullElse(replacements.apply(i),
                    layerConf.getLayer())));
            length += layerConf.getLayer().initializer().numParams(layerConf);
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            MultiLayerNetwork built = length == 0 ? new FrozenChain(conf) : new MultiLayerNetwork(conf);
            built.init(Nd4j.create(conf.getDataType(), 1, length), false);
            return built;
        }
    }

    private static ComputationGraph copy(ComputationGraph graph) {
        return graph(graph.getConfiguration(), Map.of(), Map.of());
    }

    private static MultiLayerNetwork copy(MultiLayerNetwork chain) {
        return chain(chain.getLayerWiseConfigurations(), index -> null);
    }

    private static IllegalStateException nothingTrains() {
        return new IllegalStateException("The network is frozen, so there is nothing to fit: LoRA.freeze made it for inference. "
                + "Adapt it with LoRA.apply(network, config), or train the network that it was made from, or the result of "
                + "LoRA.merge");
    }

    /** DL4J would hand out a vector to layers that take none of it. */
    private static void refuseParameters(INDArray params) {
        if (params.length() > 0) {
            throw new IllegalArgumentException("The network is frozen and has no parameters of its own, but setParams was given "
                    + params.length() + " values. Set them in the result of LoRA.merge, and freeze that");
        }
    }

    static final class FrozenGraph extends ComputationGraph {

        FrozenGraph(ComputationGraphConfiguration conf) {
            super(conf);
        }

        // All others end in one of these.

        /** Nothing to lock: it only throws. */
        @Override
        @SuppressWarnings("UnsynchronizedOverridesSynchronized")
        public void fit(MultiDataSetIterator iterator) {
            throw nothingTrains();
        }

        @Override
        public void fit(INDArray[] inputs, INDArray[] labels, INDArray[] featureMasks, INDArray[] labelMasks) {
            throw nothingTrains();
        }

        @Override
        public void pretrain(MultiDataSetIterator iterator, int epochs) {
            throw nothingTrains();
        }

        @Override
        public void pretrainLayer(String layer, MultiDataSetIterator iterator) {
            throw nothingTrains();
        }

        @Override
        public void setParams(INDArray params) {
            refuseParameters(params);
        }

        @Override
        @SuppressWarnings("ReferenceEquality")
        public ComputationGraph convertDataType(DataType type) {
            ComputationGraph converted = super.convertDataType(type);
            return converted == this ? this : copy(converted);
        }

        @Override
        public ComputationGraph clone() {
            ComputationGraph clone = copy(this);
            clone.setListeners(getListeners());
            return clone;
        }
    }

    static final class FrozenChain extends MultiLayerNetwork {

        FrozenChain(MultiLayerConfiguration conf) {
            super(conf);
        }

        // All others end in one of these.

        @Override
        public void fit(DataSetIterator iterator) {
            throw nothingTrains();
        }

        /** Nothing to lock: it only throws. */
        @Override
        @SuppressWarnings("UnsynchronizedOverridesSynchronized")
        public void fit(INDArray features, INDArray labels, INDArray featuresMask, INDArray labelsMask) {
            throw nothingTrains();
        }

        @Override
        public void pretrain(DataSetIterator iterator, int epochs) {
            throw nothingTrains();
        }

        @Override
        public void pretrainLayer(int layer, DataSetIterator iterator, int epochs) {
            throw nothingTrains();
        }

        @Override
        public void pretrainLayer(int layer, INDArray features) {
            throw nothingTrains();
        }

        @Override
        public void setParams(INDArray params) {
            refuseParameters(params);
        }

        @Override
        @SuppressWarnings("ReferenceEquality")
        public MultiLayerNetwork convertDataType(DataType type) {
            MultiLayerNetwork converted = super.convertDataType(type);
            return converted == this ? this : copy(converted);
        }

        @Override
        public ComputationGraph toComputationGraph() {
            return copy(super.toComputationGraph());
        }

        @Override
        public MultiLayerNetwork clone() {
            return copy(this);
        }

        /** DL4J writes a network without parameters, and fails when it reads it. */
        private Object writeReplace() throws NotSerializableException {
            throw new NotSerializableException("A frozen network has no parameters, which Java serialization of a "
                    + "MultiLayerNetwork needs: write it with LoRA.save");
        }
    }
}
