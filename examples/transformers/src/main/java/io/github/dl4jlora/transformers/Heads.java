package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.AnswerCrossEntropy;
import io.github.dl4jlora.transformers.layer.AnswerScores;
import io.github.dl4jlora.transformers.layer.LabelsCrossEntropy;
import io.github.dl4jlora.transformers.layer.LayerNormalization;
import io.github.dl4jlora.transformers.layer.PickedRows;
import io.github.dl4jlora.transformers.layer.PickedToken;
import io.github.dl4jlora.transformers.layer.RowsLoss;
import io.github.dl4jlora.transformers.layer.TiedDecoder;
import io.github.dl4jlora.transformers.layer.TokenClassesCrossEntropy;
import io.github.dl4jlora.transformers.layer.VocabularyBias;
import io.github.dl4jlora.transformers.layer.VocabularyMatrix;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Arrays;
import java.util.List;

/** Puts a head on the token vectors of a transformer, named as in Hugging Face's class for it. */
final class Heads {

    private static final String FIRST_TOKEN = "first_token";
    private static final String LAST_TOKEN = "last_token";
    private static final String MASKED_ROWS = "masked_rows";
    private static final String ANSWER_SCORES = "answer_scores";

    private final GraphBuilder graph;
    private final TransformerShape shape;
    private final Family family;
    private final Head head;

    Heads(GraphBuilder graph, TransformerShape shape, Head head) {
        this.graph = graph;
        this.shape = shape;
        this.family = shape.family();
        this.head = head;
        if (!family.hasHead(head.kind())) {
            throw new IllegalArgumentException("A transformer of the family " + family + " has no head of kind " + head.kind()
                    + "; it has " + Arrays.stream(Head.Kind.values()).filter(family::hasHead).toList());
        }
    }

    /** {@return the layers that a head adds to the pretrained model, the output layer last; none for the pretrained heads} */
    static List<String> layers(Family family, Head.Kind kind) {
        return switch (kind) {
            case CLASSIFIER, REGRESSION, MULTI_LABEL -> ofClassifier(family);
            case TOKEN_CLASSES -> List.of("classifier");
            case ANSWER -> List.of("qa_outputs");
            default -> List.of();
        };
    }

    private static List<String> ofClassifier(Family family) {
        return switch (family) {
            case BERT -> List.of("classifier");
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> List.of("classifier.dense", "classifier.out_proj");
            case DISTILBERT -> List.of("pre_classifier", "classifier");
            case GPT2 -> List.of("score");
        };
    }

    /** {@return the output layer of a classifier} */
    static String classifier(Family family) {
        List<String> layers = ofClassifier(family);
        return layers.get(layers.size() - 1);
    }

    /** {@return the name of the head's output} */
    String on(String rows) {
        return switch (head.kind()) {
            case TOKEN_VECTORS -> rows;
            case MEAN_POOLING -> Pooling.addTo(graph, shape, rows, Pooling.MEAN);
            case FIRST_TOKEN -> Pooling.addTo(graph, shape, rows, Pooling.FIRST_TOKEN);
            case MAX_POOLING -> Pooling.addTo(graph, shape, rows, Pooling.MAXIMUM);
            case POOLER -> pooler("pooler.dense", rows);
            case CLASSIFIER, REGRESSION, MULTI_LABEL -> classifier(rows);
            case TOKEN_CLASSES -> tokenClasses(rows);
            case ANSWER -> answer(rows);
            case MASKED_WORDS, MASKED_WORDS_AT_POSITIONS, NEXT_WORD -> languageModel(rows);
        };
    }

    private String pooler(String name, String rows) {
        return onFirstToken(name, rows, new ActivationTanH());
    }

    private String onFirstToken(String name, String rows, IActivation activation) {
        graph.addVertex(FIRST_TOKEN, new PickedToken(PickedToken.Which.FIRST, shape.padding()), rows, Transformer.INPUT_IDS);
        return Transformer.dense(graph, name, FIRST_TOKEN, shape.hidden(), shape.hidden(), activation);
    }

    private String classifier(String rows) {
        String pooled = switch (family) {
            case BERT -> pooler(family.prefix() + "pooler.dense", rows);
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> onFirstToken(ofClassifier(family).get(0), rows, new ActivationTanH());
            case DISTILBERT -> onFirstToken(ofClassifier(family).get(0), rows, new ActivationReLU());
            case GPT2 -> {
                graph.addVertex(LAST_TOKEN, new PickedToken(PickedToken.Which.LAST, shape.padding()), rows,
                        Transformer.INPUT_IDS);
                yield LAST_TOKEN;
            }
        };
        String name = classifier(family);
        OutputLayer.Builder output = switch (head.kind()) {
            case REGRESSION -> new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY);
            case MULTI_LABEL -> new OutputLayer.Builder(new LabelsCrossEntropy()).activation(Activation.SIGMOID);
            default -> new OutputLayer.Builder(LossFunction.MCXENT).activation(Activation.SOFTMAX);
        };
        graph.addLayer(name, output.nIn(shape.hidden()).nOut(head.classes()).hasBias(family != Family.GPT2)
                .weightInit(WeightInit.XAVIER).build(), pooled);
        return name;
    }

    private String tokenClasses(String rows) {
        String logits = Transformer.dense(graph, head.layers(family).get(0), rows, shape.hidden(), head.classes(),
                new ActivationIdentity());
        graph.addLayer(Transformer.TOKEN_CLASSES, new RowsLoss(new TokenClassesCrossEntropy(), Activation.SOFTMAX), logits);
        return Transformer.TOKEN_CLASSES;
    }

    private String answer(String rows) {
        String scores = Transformer.dense(graph, head.layers(family).get(0), rows, shape.hidden(), 2, new ActivationIdentity());
        graph.addVertex(ANSWER_SCORES, new AnswerScores(shape.padding()), scores, Transformer.INPUT_IDS);
        graph.addLayer(Transformer.ANSWER, new RowsLoss(new AnswerCrossEntropy(), Activation.IDENTITY), ANSWER_SCORES);
        return Transformer.ANSWER;
    }

    private String languageModel(String rows) {
        String scored = rows;
        if (head.kind() == Head.Kind.MASKED_WORDS_AT_POSITIONS) {
            graph.addInputs(Transformer.MASKED_POSITIONS);
            graph.addVertex(MASKED_ROWS, new PickedRows(), rows, Transformer.MASKED_POSITIONS, Transformer.INPUT_IDS);
            scored = MASKED_ROWS;
        }
        String bias = switch (family) {
            case BERT -> "cls.predictions";
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> "lm_head";
            case DISTILBERT -> "vocab_projector";
            case GPT2 -> null;
        };
        String last = switch (family) {
            case BERT -> transformed("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                    shape.activation(), scored);
            // RobertaLMHead has the exact GELU whatever the configuration says.
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET ->
                    transformed("lm_head.dense", "lm_head.layer_norm", Nonlinearity.GELU, scored);
            case DISTILBERT -> transformed("vocab_transform", "vocab_layer_norm", shape.activation(), scored);
            case GPT2 -> scored;
        };
        String words = family.prefix() + Transformer.EMBEDDINGS;
        if (!shape.tied()) {
            words = family.names().matrix(bias);
            graph.addLayer(words, new VocabularyMatrix(shape.hidden(), shape.vocabulary()), last);
            last = words;
        }
        if (bias != null) {
            graph.addLayer(bias, new VocabularyBias(shape.hidden(), shape.vocabulary()), last);
            last = bias;
        }
        TiedDecoder.addTo(graph, Transformer.LOGITS, last, shape.hidden(), shape.vocabulary(), words, bias, family.isCausal());
        return Transformer.LOGITS;
    }

    private String transformed(String dense, String norm, Nonlinearity activation, String rows) {
        Transformer.dense(graph, dense, rows, shape.hidden(), shape.hidden(), activation.activation());
        graph.addLayer(norm, new LayerNormalization(shape.hidden(), shape.epsilon()), dense);
        return norm;
    }
}
