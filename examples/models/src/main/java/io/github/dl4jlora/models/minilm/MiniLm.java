package io.github.dl4jlora.models.minilm;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.io.InputStream;

/** all-MiniLM-L6-v2 as a DL4J network, with the pretrained weights. */
public final class MiniLm {

    /** The output layer of {@link #classifier}. */
    public static final String CLASSIFIER = "classifier";
    /** The output of {@link #sentenceEncoder}. */
    public static final String SENTENCE = "sentence";

    /** The output of {@link #contrastive}. */
    public static final String CONTRAST = "contrast";

    private static final TransformerShape SHAPE = TransformerShape.MINI_LM_L6;

    private MiniLm() {
    }

    /**
     * Token ids {@code [minibatch, tokens]} in, sentence embeddings {@code [minibatch, 384]} of length 1 out, as
     * sentence-transformers computes them.
     *
     * @throws IOException if the artifact with the weights is not on the classpath, or cannot be read
     */
    public static ComputationGraph sentenceEncoder() throws IOException {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().graphBuilder(), SHAPE,
                Head.meanPooling());
        graph.addVertex(SENTENCE, new L2NormalizeVertex(), Transformer.POOLING).setOutputs(SENTENCE);
        return pretrained(graph);
    }

    /**
     * Token ids {@code [minibatch, tokens]} in, probabilities {@code [minibatch, classes]} out: the encoder under a new
     * output layer.
     *
     * @param seed of the output layer's weights
     * @throws IOException if the artifact with the weights is not on the classpath, or cannot be read
     */
    public static ComputationGraph classifier(int classes, IUpdater updater, long seed) throws IOException {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(seed).updater(updater)
                .graphBuilder(), SHAPE, Head.meanPooling());
        graph.addLayer(CLASSIFIER, new OutputLayer.Builder(LossFunction.MCXENT).nIn(SHAPE.hidden()).nOut(classes)
                .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build(), Transformer.POOLING)
                .setOutputs(CLASSIFIER);
        return pretrained(graph);
    }

    /**
     * Token ids {@code [2·pairs, tokens]} in, the mean token vectors {@code [2·pairs, 384]} out, under the loss that teaches
     * retrieval. Adapters of it fit {@link #sentenceEncoder} as well, whose embeddings have the directions that are learned here.
     *
     * @param scale of the cosines, for {@link InBatchNegatives}
     * @throws IOException if the artifact with the weights is not on the classpath, or cannot be read
     */
    public static ComputationGraph contrastive(double scale) throws IOException {
        GraphBuilder graph = Transformer.addTo(new NeuralNetConfiguration.Builder().graphBuilder(), SHAPE,
                Head.meanPooling());
        graph.addLayer(CONTRAST, new LossLayer.Builder(new InBatchNegatives(scale)).activation(Activation.IDENTITY).build(),
                Transformer.POOLING).setOutputs(CONTRAST);
        return pretrained(graph);
    }

    /** The encoder's layers take the tensors by which PyTorch knows them; a head starts as DL4J starts it. */
    private static ComputationGraph pretrained(GraphBuilder configuration) throws IOException {
        ComputationGraph graph = new ComputationGraph(configuration.build());
        graph.init();
        OnnxTensors tensors;
        try (InputStream file = ModelFiles.open(ModelFiles.WEIGHTS)) {
            tensors = OnnxTensors.read(file);
        }
        for (Layer layer : graph.getLayers()) {
            String name = layer.conf().getLayer().getLayerName();
            if (layer.numParams() > 0 && !name.equals(CLASSIFIER)) {
                SHAPE.family().names().parameters(name, layer.conf().getLayer()).forEach(parameter ->
                        tensors.copy(parameter.tensor(), layer.getParam(parameter.key())));
            }
        }
        return graph;
    }
}
