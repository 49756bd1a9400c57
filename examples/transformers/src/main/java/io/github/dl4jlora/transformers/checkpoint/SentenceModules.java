package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Pooling;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.IActivation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What sentence-transformers computes on top of a transformer: a pooling, then dense layers and divisions by the length, in
 * order.
 *
 * @param pooling modes, whose results stand side by side
 * @param steps   after the pooling
 */
public record SentenceModules(List<Pooling> pooling, List<Step> steps) {

    static final String MODULES = "modules.json";
    static final String POOLING = "1_Pooling";
    static final String CONFIG = "config.json";

    /** A module after the pooling. */
    public sealed interface Step permits Normalize, Dense {

        /** {@return the folder of the module} */
        String path();

        /** {@return the class of the module in sentence-transformers} */
        default String type() {
            return getClass().getSimpleName();
        }

        /** Adds it to a graph. {@return the name of its output} */
        String addTo(GraphBuilder graph, String input);
    }

    /** The division by the length. */
    public record Normalize(String path) implements Step {

        @Override
        public String addTo(GraphBuilder graph, String input) {
            // The folder's name alone may be that of a vertex.
            String name = path + ".normalized";
            graph.addVertex(name, new L2NormalizeVertex(), input);
            return name;
        }
    }

    /** A dense layer, whose name in a graph is that of the module's folder and of the module's part {@code linear}. */
    public record Dense(String path, long in, long out, boolean bias, IActivation activation) implements Step {

        static final String LINEAR = ".linear";

        String layer() {
            return path + LINEAR;
        }

        private DenseLayer configured() {
            return new DenseLayer.Builder().nIn(in).nOut(out).hasBias(bias).weightInit(WeightInit.XAVIER).activation(activation)
                    .build();
        }

        /** As in a graph, for its settings. */
        GraphVertex vertex() {
            return new LayerVertex(new NeuralNetConfiguration.Builder().layer(configured()).build(), null);
        }

        @Override
        public String addTo(GraphBuilder graph, String input) {
            graph.addLayer(layer(), configured(), input);
            return layer();
        }
    }

    /**
     * {@return a pooling, followed by the division by the length}
     *
     * @throws IllegalArgumentException if there is no pooling
     */
    public static SentenceModules normalized(List<Pooling> pooling) {
        List<Pooling> distinct = pooling.stream().distinct().toList();
        if (distinct.isEmpty()) {
            throw new IllegalArgumentException("There is no pooling to add; give at least one of "
                    + List.of(Pooling.values()));
        }
        return new SentenceModules(distinct, List.of(new Normalize("2_Normalize")));
    }

    /**
     * Reads modules.json, the settings of the modules and those beside them. Without modules.json, embeddings are taken to be of
     * length 1, and means, unless there are settings of a pooling.
     *
     * @param folder of the checkpoint
     * @param hidden width of a token's vector
     * @throws IOException if a file is damaged, or a module or a setting is not supported; the message names file and value
     */
    static SentenceModules read(Path folder, int hidden) throws IOException {
        SentenceSettings.requireWholeVectors(folder);
        if (!Files.exists(folder.resolve(MODULES))) {
            return normalized(Files.exists(folder.resolve(POOLING).resolve(CONFIG))
                    ? SentenceSettings.pooling(folder, POOLING, hidden) : List.of(Pooling.MEAN));
        }
        List<SentenceSettings.Part> parts = SentenceSettings.parts(folder);
        List<Pooling> pooling = SentenceSettings.pooling(folder, parts.get(1).path(), hidden);
        List<Step> steps = new ArrayList<>();
        long width = (long) pooling.size() * hidden;
        for (SentenceSettings.Part part : parts.subList(2, parts.size())) {
            if (part.type().equals("Normalize")) {
                SentenceSettings.requireNormalizesSentences(folder, part.path());
                steps.add(new Normalize(part.path()));
            } else {
                Dense dense = SentenceSettings.dense(folder, part.path(), width);
                width = dense.out();
                steps.add(dense);
            }
        }
        return new SentenceModules(pooling, List.copyOf(steps));
    }

    /**
     * Adds the transformer and the modules to a graph, and sets its output.
     *
     * @param vectors the vectors of tokens, of single texts or of pairs
     * @param output  the name of the last vertex
     */
    public GraphBuilder addTo(GraphBuilder graph, TransformerShape shape, Head vectors, String output) {
        Transformer.addTo(graph, shape, vectors);
        String last = Pooling.addTo(graph, shape, Transformer.output(shape, vectors), pooling.toArray(Pooling[]::new));
        boolean isNormalized = !steps.isEmpty() && steps.get(steps.size() - 1) instanceof Normalize;
        for (Step step : isNormalized ? steps.subList(0, steps.size() - 1) : steps) {
            last = step.addTo(graph, last);
        }
        // The output has one name, whatever the last module is.
        GraphVertex vertex = isNormalized ? new L2NormalizeVertex() : new ScaleVertex(1);
        return graph.addVertex(output, vertex, last).setOutputs(output);
    }

    /** {@return the dense layers} */
    List<Dense> dense() {
        return steps.stream().filter(Dense.class::isInstance).map(Dense.class::cast).toList();
    }
}
