package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.base.FrozenWeights;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/** What happens to saved networks in a JVM that has never seen their base. Run by {@link AnotherJvmTest}. */
final class Elsewhere {

    private Elsewhere() {
    }

    /** @param arguments the folder with the files; answers go into {@code answers.properties} there */
    public static void main(String[] arguments) throws IOException {
        Path folder = Path.of(arguments[0]);
        Properties answers = new Properties();
        frozen(folder, answers);
        // All without a base first: the two network types have equal weights, so either's base would serve the other.
        Map<Kind, Model> restored = new EnumMap<>(Kind.class);
        for (Kind kind : List.of(Kind.GRAPH_SHARED, Kind.LAYERS_SHARED)) {
            Model network = kind.restore(folder.resolve(kind + "-plain.zip").toFile(), true);
            answers.setProperty(kind + "-missing", failure(() -> Models.outputs(network)));
            answers.setProperty(kind + "-missing-fit", failure(() -> Models.fitSteps(network, 3, 4)));
            restored.put(kind, network);
        }
        for (Map.Entry<Kind, Model> network : restored.entrySet()) {
            Kind kind = network.getKey();
            Models.attach(network.getValue(), kind.restore(folder.resolve(kind + "-base.zip").toFile(), false));
            record(answers, kind + "-attached", network.getValue());
        }
        frozenLayersOneByOne(folder, answers);
        for (Kind kind : Kind.values()) {
            Model loaded = kind.load(folder.resolve(kind + "-whole.zip"));
            record(answers, kind + "-loaded", loaded);
        }
        try (var out = Files.newBufferedWriter(folder.resolve("answers.properties"))) {
            answers.store(out, null);
        }
    }

    /** A network in which nothing trains: without its weights, with them, and from a file that has them. */
    private static void frozen(Path folder, Properties answers) throws IOException {
        ComputationGraph plain = ModelSerializer.restoreComputationGraph(folder.resolve("frozen-plain.zip").toFile(), true);
        answers.setProperty("frozen-missing", failure(() -> richOutputs(plain)));
        LoRA.attach(plain, ModelSerializer.restoreComputationGraph(folder.resolve("frozen-base.zip").toFile(), false));
        answers.setProperty("frozen-attached", Arrays.toString(richOutputs(plain)));
        ComputationGraph whole = LoRA.loadComputationGraph(folder.resolve("frozen-whole.zip"));
        answers.setProperty("frozen-whole", Arrays.toString(richOutputs(whole)));
    }

    /** Outputs now, parameters after two more steps, all frozen values after that. */
    static void record(Properties answers, String name, Model network) {
        answers.setProperty(name + "-outputs", Arrays.toString(Models.outputs(network)));
        Models.fitSteps(network, 3, 5);
        answers.setProperty(name + "-params", Arrays.toString(Models.params(network)));
        answers.setProperty(name + "-frozen", Models.frozen(network).toString());
    }

    static String failure(Runnable action) {
        try {
            action.run();
            return "none";
        } catch (RuntimeException e) {
            return e.getClass().getSimpleName() + ": " + e.getMessage();
        }
    }

    /** Makes the frozen weights known layer by layer: each time the first unknown one is missed. */
    private static void frozenLayersOneByOne(Path folder, Properties answers) throws IOException {
        ComputationGraph base = ModelSerializer.restoreComputationGraph(folder.resolve("rich-base.zip").toFile(), false);
        File file = folder.resolve("rich-plain.zip").toFile();
        List<FrozenWeights> known = new ArrayList<>();
        for (String name : withParameters(base)) {
            ComputationGraph restored = ModelSerializer.restoreComputationGraph(file);
            answers.setProperty("rich-missing-" + name, failure(() -> richOutputs(restored)));
            GraphVertex vertex = base.getVertex(name);
            Trainable layer = vertex.hasLayer() ? vertex.getLayer() : vertex;
            known.add(FrozenWeights.of(layer.params(), layer.paramTable(false)));
        }
        ComputationGraph found = ModelSerializer.restoreComputationGraph(file);
        answers.setProperty("rich-found", Arrays.toString(richOutputs(found)));
        Reference.reachabilityFence(known);

        ComputationGraph whole = LoRA.loadComputationGraph(folder.resolve("rich-whole.zip"));
        answers.setProperty("rich-whole", Arrays.toString(richOutputs(whole)));
        whole.fit(richData());
        answers.setProperty("rich-params", Arrays.toString(Models.params(whole)));
    }

    static List<String> withParameters(ComputationGraph graph) {
        List<String> names = new ArrayList<>();
        for (int index : graph.topologicalSortOrder()) {
            GraphVertex vertex = graph.getVertices()[index];
            Trainable layer = vertex.hasLayer() ? vertex.getLayer() : vertex;
            if (layer.params() != null && layer.params().length() > 0) {
                names.add(vertex.getVertexName());
            }
        }
        return names;
    }

    /** One frozen layer of every kind that runs in its own way: convolution, batch norm, LSTM, a vertex, an output layer. */
    static ComputationGraph richBase() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(6).updater(new Sgd(0.1)).activation(Activation.TANH)
                .weightInit(WeightInit.XAVIER).graphBuilder().addInputs("image", "sequence")
                .setInputTypes(InputType.convolutional(6, 6, 1), InputType.recurrent(4, 5))
                .addLayer("conv", new ConvolutionLayer.Builder(3, 3).nOut(2).build(), "image")
                .addLayer("bn", new BatchNormalization.Builder().build(), "conv")
                .addLayer("fc1", new DenseLayer.Builder().nOut(5).build(), "bn")
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "sequence")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(1)
                        .projectInput(true).weightInit(WeightInit.XAVIER).build(), "lstm", "lstm", "lstm")
                .addVertex("last", new LastTimeStepVertex("sequence"), "attention")
                .addVertex("both", new MergeVertex(), "fc1", "last")
                .addLayer("fc2", new DenseLayer.Builder().nOut(4).build(), "both")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX)
                        .build(), "fc2")
                .setOutputs("out").build());
    }

    static ComputationGraph richAdapted(ComputationGraph base) {
        return LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc2").trainable("fc1").build());
    }

    static MultiDataSet richData() {
        return new MultiDataSet(new INDArray[] {Networks.random(DataType.FLOAT, 1, 3, 1, 6, 6),
                Networks.random(DataType.FLOAT, 2, 3, 4, 5)},
                new INDArray[] {Networks.data(DataType.FLOAT, 3, 3).getLabels()});
    }

    static double[] richOutputs(ComputationGraph graph) {
        return Models.values(graph.outputSingle(richData().getFeatures()));
    }
}
