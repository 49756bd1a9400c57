package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** What the two network types have in common, for tests that run on both. */
public final class Models {

    /** A network type, and where its frozen weights live. */
    public enum Kind {
        GRAPH_SHARED(true, FrozenStorage.SHARED),
        GRAPH_EMBEDDED(true, FrozenStorage.EMBEDDED),
        LAYERS_SHARED(false, FrozenStorage.SHARED),
        LAYERS_EMBEDDED(false, FrozenStorage.EMBEDDED);

        public final boolean graph;
        public final FrozenStorage storage;

        Kind(boolean graph, FrozenStorage storage) {
            this.graph = graph;
            this.storage = storage;
        }

        public Model base() {
            return graph ? Networks.trainedGraph() : Networks.trainedLayers();
        }

        /** One of the same topology with other weights. */
        public Model stranger() {
            Model stranger = base();
            fit(stranger, 99);
            return stranger;
        }

        public LoRAConfig.Builder config() {
            return LoRAConfig.builder().rank(2).alpha(2).storage(storage).updater(new Adam(0.02));
        }

        public Model adapt(Model base) {
            return apply(base, config().build());
        }

        public boolean isShared() {
            return storage == FrozenStorage.SHARED;
        }

        public Model restore(File file, boolean updater) throws IOException {
            return graph ? ModelSerializer.restoreComputationGraph(file, updater)
                    : ModelSerializer.restoreMultiLayerNetwork(file, updater);
        }

        public Model load(Path file) throws IOException {
            return graph ? LoRA.loadComputationGraph(file) : LoRA.loadMultiLayerNetwork(file);
        }
    }

    private Models() {
    }

    public static Model apply(Model base, LoRAConfig config) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, config) : LoRA.apply((MultiLayerNetwork) base, config);
    }

    /** Of an adapted network whose adapters start from data. */
    public static Model apply(Model base, LoRAConfig config, DataSetIterator data) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, config, data)
                : LoRA.apply((MultiLayerNetwork) base, config, data);
    }

    public static Model with(Model base, LoRAAdapter adapter) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter)
                : LoRA.apply((MultiLayerNetwork) base, adapter);
    }

    public static Model with(Model base, LoRAAdapter adapter, LoRAConfig config) {
        return base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter, config)
                : LoRA.apply((MultiLayerNetwork) base, adapter, config);
    }

    public static Model freeze(Model network) {
        return freeze(network, null);
    }

    /** @param scheme null: its values as they are */
    public static Model freeze(Model network, Quantization scheme) {
        return network instanceof ComputationGraph graph ? LoRA.freeze(graph, scheme)
                : LoRA.freeze((MultiLayerNetwork) network, scheme);
    }

    public static Model merge(Model adapted) {
        return adapted instanceof ComputationGraph graph ? LoRA.merge(graph) : LoRA.merge((MultiLayerNetwork) adapted);
    }

    public static Model unload(Model adapted) {
        return adapted instanceof ComputationGraph graph ? LoRA.unload(graph) : LoRA.unload((MultiLayerNetwork) adapted);
    }

    public static void attach(Model adapted, Model base) {
        if (adapted instanceof ComputationGraph graph) {
            LoRA.attach(graph, (ComputationGraph) base);
        } else {
            LoRA.attach((MultiLayerNetwork) adapted, (MultiLayerNetwork) base);
        }
    }

    public static Model copy(Model model) {
        return model instanceof ComputationGraph graph ? graph.clone() : ((MultiLayerNetwork) model).clone();
    }

    public static Model converted(Model model, DataType type) {
        return model instanceof ComputationGraph graph ? graph.convertDataType(type)
                : ((MultiLayerNetwork) model).convertDataType(type);
    }

    /** One batch of 8, the same for the same seed. */
    public static void fit(Model model, long seed) {
        fit(model, Networks.data(DataType.FLOAT, 8, seed));
    }

    public static void fit(Model model, DataSet data) {
        ((NeuralNetwork) model).fit(data);
    }

    public static void fit(Model model, DataSetIterator data) {
        ((NeuralNetwork) model).fit(data);
    }

    /** Steps {@code from} to {@code to}, each with a batch of its own. */
    public static void fitSteps(Model model, int from, int to) {
        for (int step = from; step < to; step++) {
            fit(model, 1000 + step);
        }
    }

    /** Clears the state that sequences leave. */
    public static void forget(Model model) {
        if (model instanceof ComputationGraph graph) {
            graph.rnnClearPreviousState();
        } else {
            ((MultiLayerNetwork) model).rnnClearPreviousState();
        }
    }

    public static INDArray output(Model model, INDArray features) {
        return model instanceof ComputationGraph graph ? graph.outputSingle(features) : ((MultiLayerNetwork) model)
                .output(features);
    }

    /** A copy, which further steps leave alone. */
    public static INDArray timeStep(Model model, INDArray features) {
        return (model instanceof ComputationGraph graph ? graph.rnnTimeStep(features)[0]
                : ((MultiLayerNetwork) model).rnnTimeStep(features)).dup();
    }

    /** In test mode. */
    public static double score(Model model, org.nd4j.linalg.dataset.DataSet data) {
        return model instanceof ComputationGraph graph ? graph.score(data) : ((MultiLayerNetwork) model).score(data);
    }

    public static double[] outputs(Model model) {
        return values(output(model, Networks.random(model.params().dataType(), 77, 5, Networks.IN)));
    }

    public static double[] updaterState(Model model) {
        return values(((NeuralNetwork) model).updaterState());
    }

    public static String json(Model model) {
        return model instanceof ComputationGraph graph ? graph.getConfiguration().toJson()
                : ((MultiLayerNetwork) model).getLayerWiseConfigurations().toJson();
    }

    /** The configuration as JSON, without iteration and epoch counts: an adapted network counts anew. */
    public static String topology(Model model) {
        return json(model).replaceAll("\"(iteration|epoch)Count\" : \\d+,?", "");
    }

    public static double[] params(Model model) {
        return values(model.params());
    }

    /** Exact; two arrays are equal as lists only if they are so bit by bit. */
    public static double[] values(INDArray array) {
        return array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
    }

    /** Every frozen value of a network that trains nothing in full, bit by bit: what is left without the adapters. */
    public static List<Long> frozen(Model adapted) {
        return Arrays.stream(params(unload(adapted))).mapToObj(Double::doubleToRawLongBits).toList();
    }
}
