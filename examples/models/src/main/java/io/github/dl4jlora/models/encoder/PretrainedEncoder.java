package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.TextSettings;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import io.github.dl4jlora.transformers.layer.InBatchNegatives;
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

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

/**
 * A sentence encoder as a DL4J network, with its pretrained weights, its tokenizer and its prompts. Each is in a Maven artifact
 * of its own, and needs that on the class path.
 */
public enum PretrainedEncoder {

    /** all-MiniLM-L6-v2: Wang et al. 2020, arXiv:2002.10957; Reimers, Gurevych 2019, arXiv:1908.10084. */
    MINILM("all-MiniLM-L6-v2", "all-minilm-l6-v2", "all-minilm-l6-v2", TransformerShape.MINI_LM_L6, 256, Head.meanPooling(), "",
            ""),
    /** bge-small-en-v1.5: Xiao et al. 2023, arXiv:2309.07597. Queries have a prompt, documents have none. */
    BGE("bge-small-en-v1.5", "bge-small-en-v15", "bge-small-en-v1.5", TransformerShape.bert(30522, 512, 384, 1536, 12, 12), 512,
            Head.firstToken(), "Represent this sentence for searching relevant passages: ", ""),
    /** e5-small-v2: Wang et al. 2022, arXiv:2212.03533. Every text has a prompt, that of a query by default. */
    E5("e5-small-v2", "e5-small-v2", "e5-small-v2", TransformerShape.bert(30522, 512, 384, 1536, 12, 12), 512, Head.meanPooling(),
            "query: ", "passage: ");

    /** The output layer of {@link #classifier}. */
    public static final String CLASSIFIER = "classifier";
    /** The output of {@link #sentenceEncoder}. */
    public static final String SENTENCE = "sentence";
    /** The output of {@link #contrastive}. */
    public static final String CONTRAST = "contrast";

    private final String modelName;
    private final String artifact;
    private final String file;
    private final TransformerShape shape;
    private final int textTokens;
    private final Head pooling;
    private final String queryPrompt;
    private final String documentPrompt;

    /**
     * @param textTokens of a text; sentence-transformers cuts longer ones, by the model's {@code sentence_bert_config.json}
     */
    PretrainedEncoder(String modelName, String artifact, String file, TransformerShape shape, int textTokens, Head pooling,
                      String queryPrompt, String documentPrompt) {
        this.modelName = modelName;
        this.artifact = artifact;
        this.file = file;
        this.shape = shape;
        this.textTokens = textTokens;
        this.pooling = pooling;
        this.queryPrompt = queryPrompt;
        this.documentPrompt = documentPrompt;
    }

    /** {@return the model's common name, such as {@code bge-small-en-v1.5}} */
    public String modelName() {
        return modelName;
    }

    /** {@return the sizes of the transformer} */
    public TransformerShape shape() {
        return shape;
    }

    /** {@return what becomes of a text's token vectors: their mean, or the first} */
    public Head pooling() {
        return pooling;
    }

    /** {@return what goes before a text that is searched with; empty if nothing does} */
    public String queryPrompt() {
        return queryPrompt;
    }

    /** {@return what goes before a text that is to be found; empty if nothing does} */
    public String documentPrompt() {
        return documentPrompt;
    }

    /**
     * {@return the prompts by the names "query" and "document", none of them the default, and the number of tokens after which
     * sentence-transformers cuts texts}
     */
    public TextSettings textSettings() {
        return new TextSettings(Map.of(), null, textTokens, false).withPrompt("query", queryPrompt)
                .withPrompt("document", documentPrompt);
    }

    /**
     * Token ids {@code [minibatch, tokens]} in, sentence embeddings {@code [minibatch, hidden]} of length 1 out, as
     * sentence-transformers computes them.
     *
     * @throws IOException if the artifact with the weights is not on the class path, or cannot be read
     */
    public ComputationGraph sentenceEncoder() throws IOException {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().graphBuilder();
        graph.addVertex(SENTENCE, new L2NormalizeVertex(), pooled(graph)).setOutputs(SENTENCE);
        return pretrained(graph);
    }

    /**
     * Token ids {@code [minibatch, tokens]} in, probabilities {@code [minibatch, classes]} out: the encoder under a new
     * output layer.
     *
     * @param seed of the output layer's weights
     * @throws IOException if the artifact with the weights is not on the class path, or cannot be read
     */
    public ComputationGraph classifier(int classes, IUpdater updater, long seed) throws IOException {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(seed).updater(updater).graphBuilder();
        graph.addLayer(CLASSIFIER, new OutputLayer.Builder(LossFunction.MCXENT).nIn(shape.hidden()).nOut(classes)
                .weightInit(WeightInit.XAVIER).activation(Activation.SOFTMAX).build(), pooled(graph)).setOutputs(CLASSIFIER);
        return pretrained(graph);
    }

    /**
     * Token ids {@code [2·pairs, tokens]} in, texts' vectors {@code [2·pairs, hidden]} out, under the loss that teaches
     * retrieval. Adapters of it fit {@link #sentenceEncoder} as well, whose embeddings have the directions that are learned here.
     *
     * @param scale of the cosines, for {@link InBatchNegatives}
     * @throws IOException if the artifact with the weights is not on the class path, or cannot be read
     */
    public ComputationGraph contrastive(double scale) throws IOException {
        return contrastive(scale, new NeuralNetConfiguration.Builder());
    }

    /**
     * As {@link #contrastive(double)}.
     *
     * @param settings what the network learns by, such as its updater, where it learns in full
     */
    public ComputationGraph contrastive(double scale, NeuralNetConfiguration.Builder settings) throws IOException {
        GraphBuilder graph = settings.graphBuilder();
        graph.addLayer(CONTRAST, new LossLayer.Builder(new InBatchNegatives(scale)).activation(Activation.IDENTITY).build(),
                pooled(graph)).setOutputs(CONTRAST);
        return pretrained(graph);
    }

    /**
     * {@return the model's own tokenizer}
     *
     * @param maxTokens longer texts are cut, {@code [CLS]} and {@code [SEP]} included; 2 to 512
     * @throws IllegalArgumentException if the model reads no texts of that length
     * @throws IOException              if the artifact with the tokenizer is not on the class path, or cannot be read
     */
    public Tokenizer tokenizer(int maxTokens) throws IOException {
        if (maxTokens > shape.longestText()) {
            throw new IllegalArgumentException("Texts are to be cut after " + maxTokens + " tokens, but " + modelName()
                    + " reads at most " + shape.longestText());
        }
        return new Tokenizer(file + "-tokenizer.json", tokenizerFile(), maxTokens, OptionalInt.of(shape.padding()));
    }

    /** {@return tokenizer.json} */
    InputStream tokenizerFile() throws IOException {
        return open("-tokenizer.json");
    }

    /** {@return the ONNX file} */
    InputStream weightsFile() throws IOException {
        return open(".onnx");
    }

    /** As it is given on the command line. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }

    private InputStream open(String ending) throws IOException {
        InputStream stream = PretrainedEncoder.class.getResourceAsStream("/" + file + ending);
        if (stream == null) {
            throw new FileNotFoundException("/" + file + ending + " is not on the classpath; it comes with the Maven artifact "
                    + "dev.langchain4j:langchain4j-embeddings-" + artifact + ": build with -P" + this);
        }
        return stream;
    }

    /** Adds the transformer, and {@return the name of a text's vector} */
    private String pooled(GraphBuilder graph) {
        Transformer.addTo(graph, shape, pooling);
        return Transformer.output(shape, pooling);
    }

    /** The encoder's layers take the tensors by which PyTorch knows them; a head starts as DL4J starts it. */
    private ComputationGraph pretrained(GraphBuilder configuration) throws IOException {
        ComputationGraph graph = new ComputationGraph(configuration.build());
        graph.init();
        try (InputStream stream = weightsFile()) {
            OnnxWeights.read(file + ".onnx", stream).copyInto(graph, shape.family().names(), Set.of(CLASSIFIER));
        }
        return graph;
    }
}
