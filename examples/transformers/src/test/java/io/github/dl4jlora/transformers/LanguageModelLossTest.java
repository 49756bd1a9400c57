package io.github.dl4jlora.transformers;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Softmax cross-entropy, the mean over tokens that count, as PyTorch's with ignore_index -100. */
class LanguageModelLossTest {

    private static final Tiny MASKED = new Tiny(Tiny.shape(Family.BERT), Head.maskedWords());

    /** With no array and no trick; a causal model's row tells the next label. */
    private static double byHand(Tiny tiny, double[][] logits, double[][] labels) {
        int shift = tiny.shape().family().isCausal() ? 1 : 0;
        double sum = 0;
        int counted = 0;
        for (int text = 0; text < labels.length; text++) {
            for (int token = shift; token < labels[text].length; token++) {
                int label = (int) labels[text][token];
                if (label != -100) {
                    double[] row = logits[text * labels[text].length + token - shift];
                    double exponentials = 0;
                    for (double logit : row) {
                        exponentials += Math.exp(logit);
                    }
                    sum += Math.log(exponentials) - row[label];
                    counted++;
                }
            }
        }
        return sum / counted;
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#languageModels")
    void theScoreIsThatOfTheFormula(Tiny tiny) {
        ComputationGraph graph = tiny.network(DataType.FLOAT, new NoOp());
        double expected = byHand(tiny, tiny.output(graph).toDoubleMatrix(), tiny.labels(DataType.FLOAT).toDoubleMatrix());

        assertThat(graph.score(tiny.batch(DataType.FLOAT), false)).isCloseTo(expected, within(1e-5));
        tiny.gradients(graph);
        assertThat(graph.score()).isCloseTo(expected, within(1e-5));
    }

    /** Whatever DL4J divides by, so that learning rates are PyTorch's. */
    @Test
    void aStepOfGradientDescentDescendsTheMeanOverTokens() {
        ComputationGraph graph = MASKED.network(DataType.DOUBLE, new Sgd(1e-6));
        INDArray before = graph.params().dup();
        double score = graph.score(MASKED.batch(DataType.DOUBLE), true);
        graph.fit(MASKED.batch(DataType.DOUBLE));
        INDArray step = graph.params().sub(before);

        double fallen = score - graph.score(MASKED.batch(DataType.DOUBLE), true);
        // For step = -rate · gradient the score falls by |step|² / rate.
        assertThat(fallen).isCloseTo(step.mul(step).sumNumber().doubleValue() / 1e-6, within(fallen * 1e-3));
    }

    @Test
    void scoresOfTextsAreMeansOverTheirTokens() {
        ComputationGraph graph = MASKED.network(DataType.FLOAT, new NoOp());
        INDArray scores = graph.scoreExamples(new DataSet(MASKED.ids(DataType.FLOAT), MASKED.labels(DataType.FLOAT)), false);
        double[][] logits = MASKED.output(graph).toDoubleMatrix();
        double[][] labels = MASKED.labels(DataType.FLOAT).toDoubleMatrix();

        assertThat(scores.shape()).containsExactly(3, 1);
        assertThat(scores.getDouble(1)).isCloseTo(byHand(MASKED, new double[][]{logits[5], logits[6], logits[7], logits[8],
                logits[9]}, new double[][]{labels[1]}), within(1e-5));
    }

    /** More logits than are computed at once. */
    @Test
    void largeVocabulariesAreComputedInPieces() {
        Tiny large = new Tiny(TransformerShape.bert(50_000, 7, 6, 8, 1, 2), Head.maskedWords());
        ComputationGraph graph = large.network(DataType.FLOAT, new NoOp());
        Random random = new Random(4);
        double[][] ids = random.ints(20, 1, 50_000).mapToObj(first -> random.ints(7, 1, 50_000).asDoubleStream().toArray())
                .toArray(double[][]::new);
        INDArray texts = Nd4j.createFromArray(ids).castTo(DataType.FLOAT);
        MultiDataSet batch = new MultiDataSet(texts, texts.dup());
        double expected = byHand(large, graph.outputSingle(texts).toDoubleMatrix(), ids);
        graph.setInputs(texts);
        graph.setLabels(texts.dup());
        graph.computeGradientAndScore();
        INDArray gradient = graph.gradient().getGradientFor("cls.predictions_b");

        assertThat(graph.score(batch, false)).isCloseTo(expected, within(1e-4));
        assertThat(graph.score()).isCloseTo(expected, within(1e-4));
        // Each row's softmax sums up to 1, as does its label.
        assertThat(gradient.sumNumber().doubleValue()).isCloseTo(0, within(1e-3));
        // What all rows have in common: 20 texts times the mean over 140 tokens.
        assertThat(gradient.norm1Number().doubleValue()).isCloseTo(40, within(1.0));
    }

    @Test
    void oneTokenIsEnough() {
        ComputationGraph graph = MASKED.network(DataType.FLOAT, new Sgd(1e-2));
        INDArray labels = Nd4j.valueArrayOf(new long[]{3, 5}, -100.0, DataType.FLOAT).putScalar(1, 2, 4);
        DataSet batch = new DataSet(MASKED.ids(DataType.FLOAT), labels);
        double before = graph.score(batch);
        graph.fit(batch);

        assertThat(before).isCloseTo(byHand(MASKED, MASKED.output(MASKED.network(DataType.FLOAT, new NoOp())).toDoubleMatrix(),
                labels.toDoubleMatrix()), within(1e-5));
        assertThat(graph.score(batch)).isLessThan(before);
    }

    @Test
    void labelsThatAreNoneAreNamedWithTheCure() {
        ComputationGraph graph = MASKED.network(DataType.FLOAT, new NoOp());
        INDArray ids = MASKED.ids(DataType.FLOAT);
        for (double wrong : new double[]{11, -1, 1.5}) {
            INDArray labels = MASKED.labels(DataType.FLOAT).putScalar(1, 2, wrong);
            assertThatThrownBy(() -> graph.fit(new DataSet(ids, labels))).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("Label " + wrong, "token 2 of text 1", "below 11", "-100", "logits");
        }
        assertThatThrownBy(() -> graph.fit(new DataSet(ids, Nd4j.ones(3, 4))))
                .hasMessageContainingAll("[3, 4]", "15 rows", "[minibatch, k]");
        assertThatThrownBy(() -> graph.score(new DataSet(ids, Nd4j.ones(5, 3))))
                .hasMessageContainingAll("[5, 3]", "3 texts", "[minibatch, k]");
        assertThatThrownBy(() -> graph.fit(new DataSet(ids, Nd4j.valueArrayOf(3, 5, -100))))
                .hasMessageContaining("No label of the minibatch counts");
        assertThatThrownBy(() -> graph.fit(new DataSet(ids, MASKED.labels(DataType.FLOAT), null, Nd4j.ones(3, 4))))
                .hasMessageContainingAll("mask of labels", "[3, 4]", "[3, 5]", "-100");
    }
}
