package io.github.dl4jlora.transformers;

import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A tiny transformer with random weights, and something for it to read. On top of a head that is no output goes a classifier of
 * the user's own.
 *
 * @param shape one of each family that computes in a way of its own
 * @param head  on top of it
 */
public record Tiny(TransformerShape shape, Head head) {

    public static final int CLASSES = 3;
    static final int VOCABULARY = 11;

    private static final List<TransformerShape> SHAPES = List.of(
            TransformerShape.bert(VOCABULARY, 7, 6, 8, 2, 2), TransformerShape.roberta(VOCABULARY, 9, 6, 8, 2, 2),
            TransformerShape.distilBert(VOCABULARY, 7, 6, 8, 2, 2), TransformerShape.gpt2(VOCABULARY, 7, 6, 2, 2),
            TransformerShape.mpnet(VOCABULARY, 9, 6, 8, 2, 2));

    static Stream<TransformerShape> shapes() {
        return SHAPES.stream();
    }

    static TransformerShape shape(Family family) {
        return shapes().filter(shape -> shape.family() == family).findFirst().orElseThrow();
    }

    /** Every family below a classifier. */
    static Stream<Tiny> classifiers() {
        return shapes().map(shape -> new Tiny(shape, Head.classifier(CLASSES)));
    }

    /** Every family as a language model, its decoder tied or not, and one with its masked tokens named. */
    static Stream<Tiny> languageModels() {
        return Stream.of(shapes().map(Tiny::languageModel), shapes().map(TransformerShape::untied).map(Tiny::languageModel),
                Stream.of(new Tiny(shape(Family.BERT), Head.maskedWordsAtPositions()))).flatMap(Function.identity());
    }

    /** The family's language model. */
    static Tiny languageModel(TransformerShape shape) {
        return new Tiny(shape, shape.family().isCausal() ? Head.nextWord() : Head.maskedWords());
    }

    /** Five of the families and some kinds of heads, for tests that take long. */
    static Stream<Tiny> few() {
        return Stream.of(languageModel(shape(Family.BERT)), new Tiny(shape(Family.BERT), Head.questionAnswering()),
                new Tiny(shape(Family.ROBERTA), Head.multiLabel(CLASSES).ofPairs()),
                new Tiny(shape(Family.DISTILBERT), Head.tokenClassifier(CLASSES)),
                languageModel(shape(Family.GPT2)), languageModel(shape(Family.GPT2).untied()),
                new Tiny(shape(Family.MPNET), Head.classifier(CLASSES)));
    }

    /** All that are not among the {@link #few}. */
    static Stream<Tiny> others() {
        Set<Tiny> few = few().collect(Collectors.toSet());
        return all().filter(tiny -> !few.contains(tiny));
    }

    static Stream<Tiny> all() {
        Stream<Head> bare = Stream.of(Head.meanPooling(), Head.firstToken(), Head.maxPooling(), Head.pooler());
        return Stream.of(classifiers(), languageModels(), bare.map(head -> new Tiny(shape(Family.BERT), head)), otherHeads())
                .flatMap(Function.identity());
    }

    /** Each once, of single texts or of pairs. */
    static Stream<Tiny> otherHeads() {
        return Stream.of(new Tiny(shape(Family.BERT), Head.classifier(CLASSES).ofPairs()),
                new Tiny(shape(Family.BERT), Head.reranker()), new Tiny(shape(Family.GPT2), Head.regression(2)),
                new Tiny(shape(Family.ROBERTA), Head.multiLabel(CLASSES).ofPairs()),
                new Tiny(shape(Family.DISTILBERT), Head.tokenClassifier(CLASSES)),
                new Tiny(shape(Family.BERT), Head.questionAnswering()));
    }

    /** The encoder of sentences: BERT under the mean of its token vectors. */
    public static Tiny meanPooling() {
        return new Tiny(shape(Family.BERT), Head.meanPooling());
    }

    public static ComputationGraph initialised(ComputationGraphConfiguration conf) {
        ComputationGraph graph = new ComputationGraph(conf);
        graph.init();
        return graph;
    }

    public ComputationGraph network(DataType type, IUpdater updater) {
        GraphBuilder builder = Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3).dataType(type).updater(updater)
                .graphBuilder(), shape, head);
        if (head.kind() != Head.Kind.TOKEN_VECTORS && head.prefix(shape.family()).isEmpty()) {
            builder.addLayer("own", new OutputLayer.Builder(LossFunction.MCXENT).nIn(shape.hidden()).nOut(CLASSES)
                    .activation(Activation.SOFTMAX).build(), Transformer.output(shape, head)).setOutputs("own");
        }
        ComputationGraph graph = initialised(builder.build());
        // Embeddings start at a scale where layer normalisation makes most of their differences; spread everything out.
        graph.params().addi(Nd4j.randn(type, graph.params().shape()).muli(0.3));
        return graph;
    }

    /** Three texts of 5, 3 and 1 tokens; the third is the least there is. */
    public INDArray ids(DataType type) {
        int p = shape.padding();
        return Nd4j.createFromArray(new double[][]{{10, 9, 4, 9, 2}, {3, 6, 2, p, p}, {8, p, p, p, p}}).castTo(type);
    }

    /** What says the same as {@link #ids}. */
    static INDArray mask(DataType type) {
        return Nd4j.createFromArray(new double[][]{{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}, {1, 0, 0, 0, 0}}).castTo(type);
    }

    boolean languageModel() {
        return head.isLanguageModel();
    }

    /** Whether labels are of tokens, but the head is no language model's. */
    boolean ofTokens() {
        return head.kind() == Head.Kind.TOKEN_CLASSES || head.kind() == Head.Kind.ANSWER;
    }

    INDArray[] inputs(DataType type) {
        INDArray second = !hasTypes() ? Nd4j.createFromArray(new double[][]{{1, 3}, {2, 0}, {0, 0}})
                : Nd4j.createFromArray(new double[][]{{0, 0, 1, 1, 1}, {0, 1, 1, 0, 0}, {0, 0, 0, 0, 0}});
        return !hasTypes() && head.kind() != Head.Kind.MASKED_WORDS_AT_POSITIONS ? new INDArray[]{ids(type)}
                : new INDArray[]{ids(type), second.castTo(type)};
    }

    private boolean hasTypes() {
        return head.pairs() && shape.hasTextTypes();
    }

    InputType[] inputTypes() {
        return Stream.of(inputs(DataType.FLOAT)).map(input -> InputType.feedForward(input.size(1))).toArray(InputType[]::new);
    }

    INDArray labels(DataType type) {
        return (switch (head.kind()) {
            case CLASSIFIER, MEAN_POOLING, FIRST_TOKEN, MAX_POOLING, POOLER -> Nd4j.eye(CLASSES);
            case REGRESSION -> Nd4j.createFromArray(new double[][]{{0.3, -2}, {1.5, 0}, {-0.7, 1}});
            case MULTI_LABEL -> Nd4j.createFromArray(new double[][]{{1, 0, 1}, {0, 1, 1}, {0, 0, 0}})
                    .get(NDArrayIndex.all(), NDArrayIndex.interval(0, head.classes()));
            case TOKEN_CLASSES -> Nd4j.createFromArray(new double[][]{
                    {-100, 2, 0, -100, 1}, {1, -100, 2, -100, -100}, {-100, -100, -100, -100, -100}});
            case ANSWER -> Nd4j.createFromArray(new double[][]{{2, 4}, {1, -100}, {0, 5}});
            case MASKED_WORDS_AT_POSITIONS -> Nd4j.createFromArray(new double[][]{{7, 9}, {2, -100}, {5, -100}});
            default -> Nd4j.createFromArray(new double[][]{
                    {-100, 7, -100, 9, 1}, {-100, -100, 2, -100, -100}, {5, -100, -100, -100, -100}});
        }).castTo(type);
    }

    MultiDataSet batch(DataType type) {
        return new MultiDataSet(inputs(type), new INDArray[]{labels(type)});
    }

    public INDArray output(ComputationGraph network) {
        return network.output(inputs(network.getConfiguration().getDataType()))[0];
    }

    public INDArray gradients(ComputationGraph network) {
        return fed(network).gradient().dup();
    }

    /** By layer and key. */
    Map<String, INDArray> gradientTable(ComputationGraph network) {
        Map<String, INDArray> table = new HashMap<>();
        fed(network).gradientForVariable().forEach((key, gradient) -> table.put(key, gradient.dup()));
        return table;
    }

    private Gradient fed(ComputationGraph network) {
        DataType type = network.getConfiguration().getDataType();
        network.setInputs(inputs(type));
        network.setLabels(labels(type));
        network.computeGradientAndScore();
        return network.gradient();
    }

    @Override
    public String toString() {
        return shape.family() + " " + head.kind() + (head.pairs() ? " of pairs" : "") + (shape.tied() ? "" : " untied");
    }
}
