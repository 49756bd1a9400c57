package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Masks of features, as DL4J's iterators set them. */
class MasksTest {

    private static final String EVERY = "io.github.dl4jlora.transformers.Tiny#all";
    private static final String SHAPES = "io.github.dl4jlora.transformers.Tiny#shapes";
    private static final Tiny MASKED = new Tiny(Tiny.shape(Family.BERT), Head.maskedWords());

    private static INDArray[] masks(Tiny tiny) {
        INDArray[] masks = new INDArray[tiny.inputs(DataType.FLOAT).length];
        masks[0] = Tiny.mask(DataType.FLOAT);
        return masks;
    }

    private static ComputationGraph floats(Tiny tiny) {
        return tiny.network(DataType.FLOAT, new Sgd(0.1));
    }

    private static MultiDataSet masked(Tiny tiny) {
        return new MultiDataSet(tiny.inputs(DataType.FLOAT), new INDArray[]{tiny.labels(DataType.FLOAT)}, masks(tiny), null);
    }

    private static INDArray rows(double[]... rows) {
        return Nd4j.createFromArray(rows).castTo(DataType.FLOAT);
    }

    @ParameterizedTest
    @MethodSource(EVERY)
    void aMaskThatSaysWhatTheIdsSayChangesNothing(Tiny tiny) {
        ComputationGraph graph = floats(tiny);
        ComputationGraph other = floats(tiny);
        INDArray expected = tiny.output(other);

        assertThat(graph.output(false, tiny.inputs(DataType.FLOAT), masks(tiny))[0]).isEqualTo(expected);
        graph.setLayerMaskArrays(masks(tiny), null);
        assertThat(tiny.output(graph)).isEqualTo(expected);
        graph.clearLayerMaskArrays();
        assertThat(graph.score(masked(tiny), false)).isEqualTo(other.score(tiny.batch(DataType.FLOAT), false));
        graph.fit(masked(tiny));
        other.fit(tiny.batch(DataType.FLOAT));
        assertThat(graph.params()).isEqualTo(other.params()).isNotEqualTo(floats(tiny).params());
        assertThat(tiny.output(graph)).isEqualTo(tiny.output(other));
    }

    /** Vertices leave the ids out of their inputs meanwhile. */
    @ParameterizedTest
    @MethodSource(EVERY)
    void masksReachANetworkThatHoldsInputs(Tiny tiny) {
        ComputationGraph graph = floats(tiny);
        INDArray expected = tiny.output(graph);

        graph.feedForward(tiny.inputs(DataType.FLOAT), true, false);
        assertThat(graph.output(false, tiny.inputs(DataType.FLOAT), masks(tiny))[0]).isEqualTo(expected);
    }

    @Test
    void aClassifierIsEvaluatedAndScoredWithMasks() {
        Tiny tiny = new Tiny(Tiny.shape(Family.ROBERTA), Head.classifier(Tiny.CLASSES));
        ComputationGraph graph = floats(tiny);

        Evaluation with = graph.evaluate(new SingletonMultiDataSetIterator(masked(tiny)));
        Evaluation without = graph.evaluate(new SingletonMultiDataSetIterator(tiny.batch(DataType.FLOAT)));

        assertThat(with.getNumRowCounter()).isEqualTo(3);
        assertThat(with.getConfusionMatrix()).isEqualTo(without.getConfusionMatrix());
        assertThat(graph.scoreExamples(masked(tiny), false)).isEqualTo(graph.scoreExamples(tiny.batch(DataType.FLOAT), false));
    }

    @Test
    void adaptedAndFrozenEmbeddingsTakeMasksToo() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.classifier(Tiny.CLASSES));
        ComputationGraph adapted = LoRA.apply(floats(tiny), LoRAConfig.builder().rank(2).targets(".*query")
                .updater(new Sgd(0.1)).build());
        INDArray expected = tiny.output(adapted);

        assertThat(adapted.output(false, tiny.inputs(DataType.FLOAT), masks(tiny))[0]).isEqualTo(expected);
        adapted.fit(masked(tiny));
        assertThat(tiny.output(adapted)).isNotEqualTo(expected);
        assertThatThrownBy(() -> adapted.output(false, tiny.inputs(DataType.FLOAT), new INDArray[]{Nd4j.ones(3, 4)}))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("[3, 4]", "[3, 5]");
        assertThat(LoRA.freeze(floats(tiny)).output(false, tiny.inputs(DataType.FLOAT), masks(tiny))[0])
                .isEqualTo(tiny.output(LoRA.freeze(floats(tiny))));
    }

    static Stream<Arguments> wrongMasks() {
        return Stream.of(arguments(Nd4j.ones(3, 4), new String[]{"mask of features has shape [3, 4]", "shape [3, 5]"}),
                arguments(Nd4j.ones(2, 5), new String[]{"[2, 5]", "[3, 5]"}),
                arguments(Nd4j.ones(3, 1), new String[]{"[3, 1]", "[3, 5]"}),
                arguments(Nd4j.ones(3, 5, 1), new String[]{"[3, 5, 1]", "[3, 5]"}),
                arguments(Nd4j.ones(3, 1, 5), new String[]{"[3, 1, 5]", "[3, 5]"}),
                arguments(Nd4j.ones(3, 5), new String[]{"1.0 at token 3 of text 1", "is padding, and no token of the text"}),
                arguments(Nd4j.zeros(3, 5), new String[]{"0.0 at token 0 of text 0", "there, 10, is no padding"}),
                arguments(rows(new double[]{1, 1, 1, 1, 1}, new double[]{1, 1, 0, 0, 0}, new double[]{1, 0, 0, 0, 0}),
                        new String[]{"0.0 at token 2 of text 1", "there, 2, is no padding"}),
                arguments(rows(new double[]{1, 1, 1, 1, 1}, new double[]{0, 1, 1, 0, 0}, new double[]{1, 0, 0, 0, 0}),
                        new String[]{"0.0 at token 0 of text 1"}),
                arguments(rows(new double[]{1, 1, 1, 1, 0.5}, new double[]{1, 1, 1, 0, 0}, new double[]{1, 0, 0, 0, 0}),
                        new String[]{"0.5 at token 4 of text 0"}),
                arguments(rows(new double[]{1, 1, 1, 1, 1}, new double[]{1, 1, 1, 0, 0}, new double[]{1, 0, Double.NaN, 0, 0}),
                        new String[]{"NaN at token 2 of text 2"}));
    }

    @ParameterizedTest
    @MethodSource("wrongMasks")
    void aMaskThatSaysSomethingElseIsRefusedWithTextAndNumbers(INDArray mask, String[] told) {
        Tiny tiny = new Tiny(Tiny.shape(Family.DISTILBERT), Head.classifier(Tiny.CLASSES));
        ComputationGraph graph = floats(tiny);
        INDArray before = graph.params().dup();
        INDArray[] masks = {mask};
        MultiDataSet data = new MultiDataSet(tiny.inputs(DataType.FLOAT), new INDArray[]{tiny.labels(DataType.FLOAT)}, masks,
                null);

        assertThatThrownBy(() -> graph.output(false, tiny.inputs(DataType.FLOAT), masks))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(told).hasMessageContaining("embeddings");
        assertThatThrownBy(() -> graph.fit(data)).isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(told);
        graph.clearLayerMaskArrays();
        assertThatThrownBy(() -> graph.score(data)).isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(told);
        assertThatThrownBy(() -> graph.evaluate(new SingletonMultiDataSetIterator(data)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(told);
        graph.setLayerMaskArrays(masks, null);
        assertThatThrownBy(() -> tiny.output(graph)).isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(told);
        assertThat(graph.params()).isEqualTo(before);
    }

    /** As the message says: DL4J would compute the next pass with the mask of the one that failed. */
    @Test
    void afterAMaskThatWasRefusedTheNextPassNeedsNone() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.classifier(Tiny.CLASSES));
        ComputationGraph graph = floats(tiny);
        INDArray expected = tiny.output(graph);

        for (INDArray wrong : new INDArray[]{Nd4j.ones(3, 5), Nd4j.ones(3, 4)}) {
            assertThatThrownBy(() -> graph.output(false, tiny.inputs(DataType.FLOAT), new INDArray[]{wrong}))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("call clearLayerMaskArrays()");
            graph.clearLayerMaskArrays();
            assertThat(tiny.output(graph)).isEqualTo(expected);
        }
    }

    @Test
    void noTextsAndTextsWithoutTokensAreRefused() {
        ComputationGraph graph = floats(new Tiny(Tiny.shape(Family.BERT), Head.classifier(Tiny.CLASSES)));

        assertThatThrownBy(() -> graph.output(Nd4j.create(DataType.FLOAT, 2, 0))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("[2, 0]", "[minibatch, tokens]");
    }

    /** Of BERT's texts that have "[PAD]" in them, and of GPT-2's if the end of a text is the padding too. */
    @ParameterizedTest
    @MethodSource(SHAPES)
    void aMaskSaysThatATextHasThePaddingTokenInIt(TransformerShape shape) {
        ComputationGraph graph = floats(new Tiny(shape, Head.tokenVectors()));
        double p = shape.padding();
        INDArray ids = rows(new double[]{p, 5, p, 2, p}, new double[]{3, 4, 5, 6, 7});
        INDArray mask = rows(new double[]{1, 1, 1, 1, 0}, new double[]{1, 1, 1, 1, 1});

        if (shape.padding() == TransformerShape.NO_TOKEN) {
            assertThatThrownBy(() -> graph.output(false, new INDArray[]{ids}, new INDArray[]{mask}))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("1.0 at token 0 of text 0",
                            "-1, is padding");
            return;
        }
        INDArray actual = graph.output(false, new INDArray[]{ids}, new INDArray[]{mask})[0];
        INDArray alone = graph.output(false, new INDArray[]{rows(new double[]{p, 5, p, 2})},
                new INDArray[]{Nd4j.ones(1, 4)})[0];
        assertThat(actual.getRows(0, 1, 2, 3).sub(alone).amaxNumber().doubleValue()).isLessThan(1e-5);
        INDArray other = graph.output(false, new INDArray[]{rows(new double[]{p, 5, 8, 2})}, new INDArray[]{Nd4j.ones(1, 4)})[0];
        assertThat(other.getRow(3).sub(alone.getRow(3)).amaxNumber().doubleValue()).as("the token inside counts")
                .isGreaterThan(1e-3);
    }

    /** Without a padding token id 0 is a word of GPT-2, and so is the end of text. */
    @Test
    void everyIdIsATokenWhereThereIsNoTokenForPadding() {
        ComputationGraph graph = floats(new Tiny(Tiny.shape(Family.GPT2), Head.nextWord()));

        assertThat(graph.outputSingle(rows(new double[]{10, 0, 10, 5, 10})).rows()).isEqualTo(5);
    }

    @Test
    void layersThatReadIdsWithoutAttentionAreHeldToTheSame() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).updater(new NoOp()).list()
                .layer(new TokenEmbeddings.Builder(11, 7, 6).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).nIn(6).nOut(2).activation(Activation.IDENTITY).build()).build());
        network.init();
        INDArray ids = rows(new double[]{5, 4, 3}, new double[]{2, 0, 0});
        INDArray mask = rows(new double[]{1, 1, 1}, new double[]{1, 0, 0});
        INDArray labels = Nd4j.zeros(6, 2);

        assertThat(network.output(ids, false, mask, null)).isEqualTo(network.output(ids));
        double score = network.score(new DataSet(ids, labels));
        assertThat(network.score(new DataSet(ids, labels, mask, null))).isEqualTo(score);
        network.fit(new DataSet(ids, labels, mask, null));
        network.setLayerMaskArrays(mask, null);
        assertThat(network.output(ids).rows()).isEqualTo(6);
        network.clearLayerMaskArrays();
        assertThatThrownBy(() -> network.output(ids, false, Nd4j.ones(2, 3), null)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("1.0 at token 1 of text 1", "no token of the text comes after it");
        network.clearLayerMaskArrays();
        assertThatThrownBy(() -> network.output(rows(new double[]{5, 4, 3}, new double[]{0, 0, 0})))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("Text 1", "no token");
    }

    @Test
    void aMaskOfLabelsLeavesTokensOut() {
        INDArray ids = MASKED.ids(DataType.FLOAT);
        INDArray labels = rows(new double[]{3, 7, 4, 9, 1}, new double[]{1, 2, 2, 4, 4}, new double[]{5, 1, 1, 1, 1});
        INDArray mask = rows(new double[]{0, 1, 0, 1, 1}, new double[]{0, 0, 1, 0, 0}, new double[]{1, 0, 0, 0, 0});
        ComputationGraph graph = floats(MASKED);
        ComputationGraph other = floats(MASKED);

        assertThat(graph.score(new DataSet(ids, labels, Tiny.mask(DataType.FLOAT), mask), false))
                .isEqualTo(other.score(MASKED.batch(DataType.FLOAT), false));
        assertThat(graph.scoreExamples(new DataSet(ids, labels, null, mask), false))
                .isEqualTo(other.scoreExamples(MASKED.batch(DataType.FLOAT), false));
        graph.fit(new DataSet(ids, labels, null, mask));
        other.fit(MASKED.batch(DataType.FLOAT));
        assertThat(graph.params()).isEqualTo(other.params());

        for (INDArray wrong : new INDArray[]{Nd4j.ones(3, 1), Nd4j.ones(15, 1), Nd4j.ones(3, 4)}) {
            assertThatThrownBy(() -> graph.fit(new DataSet(ids, labels, null, wrong)))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("mask of labels", "[3, 5]", "logits");
        }
        mask.putScalar(1, 2, 0.5);
        assertThatThrownBy(() -> graph.fit(new DataSet(ids, labels, null, mask))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("0.5 at token 2 of text 1", "logits");
    }

    @Test
    void positionsTakeNoMaskBut1() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.maskedWordsAtPositions());
        ComputationGraph graph = floats(tiny);
        INDArray[] masks = {null, Nd4j.ones(3, 2)};

        assertThat(graph.output(false, tiny.inputs(DataType.FLOAT), masks)[0]).isEqualTo(tiny.output(graph));
        masks[1].putScalar(1, 1, 0);
        assertThatThrownBy(() -> graph.output(false, tiny.inputs(DataType.FLOAT), masks))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("masked_rows", "-100");
    }
}
