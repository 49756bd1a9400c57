package io.github.dl4jlora.transformers;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * Padding on the left, on the right and between tokens. Where positions are those of columns, a text computes something else when
 * padding moves it, as in PyTorch, so these tests give all positions the same vector.
 */
@Tag("heavy")
class PaddingAnywhereTest {

    private static final int TOKENS = 7;

    /** Those with one input. */
    static Stream<Tiny> few() {
        return Tiny.few().filter(tiny -> tiny.inputs(DataType.FLOAT).length == 1);
    }

    static Stream<Tiny> others() {
        return Tiny.others().filter(tiny -> tiny.inputs(DataType.FLOAT).length == 1);
    }

    static Stream<TransformerShape> shapes() {
        return Tiny.shapes();
    }

    private static ComputationGraph network(Tiny tiny) {
        ComputationGraph graph = tiny.network(DataType.DOUBLE, new NoOp());
        if (!tiny.shape().family().countsPositionsFromPadding()) {
            graph.paramTable().forEach((key, values) -> {
                if (key.endsWith("embeddings_P")) {
                    values.assign(values.getRow(0).dup().broadcast(values.shape()));
                }
            });
        }
        return graph;
    }

    /** Padded on the right, on the left, not at all, and twice somewhere. */
    private static double[][] batch(TransformerShape shape, int seed) {
        Random random = new Random(seed);
        double[][] ids = new double[5][TOKENS];
        for (int text = 0; text < ids.length; text++) {
            int tokens = text == 2 ? TOKENS : 1 + random.nextInt(TOKENS);
            List<Integer> places = IntStream.range(0, TOKENS).boxed().collect(Collectors.toList());
            Collections.shuffle(places, random);
            for (int i = 0; i < TOKENS; i++) {
                boolean token = text == 0 ? i < tokens : text == 1 ? i >= TOKENS - tokens : places.indexOf(i) < tokens;
                ids[text][i] = token ? 2 + random.nextInt(Tiny.VOCABULARY - 2) : shape.padding();
            }
        }
        return ids;
    }

    /** Columns of a text that are no padding. */
    private static int[] kept(TransformerShape shape, double[] ids) {
        return IntStream.range(0, ids.length).filter(i -> ids[i] != shape.padding()).toArray();
    }

    private static INDArray alone(TransformerShape shape, double[] ids) {
        return Nd4j.createFromArray(new double[][]{Arrays.stream(ids).filter(id -> id != shape.padding()).toArray()});
    }

    private static double difference(INDArray actual, INDArray expected) {
        assertThat(actual.shape()).isEqualTo(expected.shape());
        return actual.sub(expected).amaxNumber().doubleValue();
    }

    /** Rows of one text's tokens; those of padding are nobody's business. */
    private static INDArray ofText(INDArray output, int text, int[] kept) {
        return output.size(0) == 5 ? output.getRow(text, true)
                : Nd4j.pullRows(output, 1, Arrays.stream(kept).map(token -> text * TOKENS + token).toArray());
    }

    /** In MPNet it matters how many columns two tokens are apart. */
    private static boolean movesWithGaps(Tiny tiny) {
        return tiny.shape().family() == Family.MPNET;
    }

    @ParameterizedTest
    @MethodSource("few")
    void aPaddedBatchComputesWhatItsTextsDoAlone(Tiny tiny) {
        ComputationGraph graph = network(tiny);
        for (int seed = 0; seed < 8; seed++) {
            double[][] ids = batch(tiny.shape(), seed);
            INDArray mask = Nd4j.createFromArray(ids).neq(tiny.shape().padding()).castTo(DataType.DOUBLE);
            INDArray together = graph.outputSingle(Nd4j.createFromArray(ids));
            INDArray masked = graph.output(false, new INDArray[]{Nd4j.createFromArray(ids)}, new INDArray[]{mask})[0];
            assertThat(masked).isEqualTo(together);
            for (int text = 0; text < (movesWithGaps(tiny) ? 3 : ids.length); text++) {
                INDArray expected = graph.outputSingle(alone(tiny.shape(), ids[text]));
                assertThat(difference(ofText(together, text, kept(tiny.shape(), ids[text])), expected))
                        .as("text %s of %s", text, Arrays.deepToString(ids)).isLessThan(1e-12);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("others")
    void inOtherNetworksItDoesToo(Tiny tiny) {
        aPaddedBatchComputesWhatItsTextsDoAlone(tiny);
        gradientsOfAPaddedBatchAreTheSumOfThoseOfItsTexts(tiny);
    }

    private static boolean hasLabelsOfTokens(Tiny tiny) {
        return tiny.languageModel() || tiny.head().kind() == Head.Kind.TOKEN_CLASSES;
    }

    private static INDArray labels(Tiny tiny, double[][] ids) {
        if (!hasLabelsOfTokens(tiny)) {
            return tiny.labels(DataType.DOUBLE).repeat(0, 2).get(NDArrayIndex.interval(0, ids.length), NDArrayIndex.all()).dup();
        }
        double[][] labels = new double[ids.length][];
        for (int text = 0; text < ids.length; text++) {
            labels[text] = Arrays.stream(ids[text]).map(id -> id == tiny.shape().padding() ? -100
                    : tiny.languageModel() ? id : id % Tiny.CLASSES).toArray();
        }
        return Nd4j.createFromArray(labels);
    }

    private static Map<String, INDArray> gradients(Tiny tiny, INDArray ids, INDArray labels) {
        ComputationGraph graph = network(tiny);
        graph.setInputs(ids);
        graph.setLabels(labels);
        graph.computeGradientAndScore();
        return graph.gradient().gradientForVariable();
    }

    /** How many labels a mean loss is of, times the minibatch, by which DL4J divides. */
    private static double counted(Tiny tiny, INDArray labels) {
        if (!hasLabelsOfTokens(tiny)) {
            return 1;
        }
        int counted = labels.gte(0).castTo(DataType.DOUBLE).sumNumber().intValue();
        return (counted - (tiny.shape().family().isCausal() ? labels.size(0) : 0.0)) / labels.size(0);
    }

    /** In GPT-2 a row of padding would have to tell the token after a gap, so gaps are left out there. */
    @ParameterizedTest
    @MethodSource("few")
    void gradientsOfAPaddedBatchAreTheSumOfThoseOfItsTexts(Tiny tiny) {
        boolean next = tiny.languageModel() && tiny.shape().family().isCausal();
        double[][] ids = batch(tiny.shape(), 21);
        double[][] texts = next || movesWithGaps(tiny) ? Arrays.copyOf(ids, 3) : ids;
        Map<String, INDArray> together = gradients(tiny, Nd4j.createFromArray(texts), labels(tiny, texts));
        double all = counted(tiny, labels(tiny, texts));
        together.forEach((key, gradient) -> gradient.muli(all));

        for (int text = 0; text < texts.length; text++) {
            INDArray labels = hasLabelsOfTokens(tiny) ? labels(tiny, new double[][]{
                    alone(tiny.shape(), texts[text]).toDoubleVector()}) : labels(tiny, texts).getRow(text, true).dup();
            if (next && labels.length() == 1) {
                continue;
            }
            double its = counted(tiny, labels);
            gradients(tiny, alone(tiny.shape(), texts[text]), labels)
                    .forEach((key, gradient) -> together.get(key).subi(gradient.mul(its)));
        }

        together.forEach((key, rest) -> {
            // Which position's vector gets the gradient depends on the column.
            double left = (key.endsWith("embeddings_P") ? rest.sum(0) : rest).amaxNumber().doubleValue();
            assertThat(left).as(key).isLessThan(1e-11);
        });
    }

    @ParameterizedTest
    @MethodSource("shapes")
    void positionsCountColumnsButInRobertaTokens(TransformerShape shape) {
        ComputationGraph graph = new Tiny(shape, Head.tokenVectors()).network(DataType.DOUBLE, new NoOp());
        graph.params().assign(0);
        INDArray positions = graph.getParam("embeddings_P");
        for (int i = 0; i < positions.size(0); i++) {
            positions.getRow(i).assign(i);
        }
        double p = shape.padding();

        INDArray rows = graph.feedForward(Nd4j.createFromArray(new double[][]{{p, p, 5, p, 6}}), false).get("embeddings");
        assertThat(rows.getColumn(0).toDoubleVector()).containsExactly(shape.family().countsPositionsFromPadding()
                ? new double[]{1, 1, 2, 1, 3} : new double[]{0, 1, 2, 3, 4});
    }

    /** In RoBERTa alone padding takes no position, so there may be more of it. */
    @ParameterizedTest
    @MethodSource("shapes")
    void aBatchWithMoreColumnsThanPositionsIsRefused(TransformerShape shape) {
        ComputationGraph graph = new Tiny(shape, Head.tokenVectors()).network(DataType.DOUBLE, new NoOp());
        double[] ids = new double[9];
        Arrays.fill(ids, shape.padding());
        Arrays.fill(ids, 2, 9, 5);
        INDArray long7 = Nd4j.createFromArray(new double[][]{ids});
        if (shape.family().countsPositionsFromPadding()) {
            assertThat(graph.outputSingle(long7).rows()).isEqualTo(9);
            ids[1] = 5;
        }

        assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new double[][]{ids})))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("[1, 9]", "text 0", "at most 7");
    }

    @ParameterizedTest
    @MethodSource("shapes")
    void aTextThatIsAllPaddingIsRefusedWhateverTheMaskSays(TransformerShape shape) {
        ComputationGraph graph = new Tiny(shape, Head.tokenVectors()).network(DataType.DOUBLE, new NoOp());
        double p = shape.padding();
        INDArray[] ids = {Nd4j.createFromArray(new double[][]{{p, 3}, {p, p}})};

        assertThatThrownBy(() -> graph.output(ids)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Text 1", "no token, only padding, the id " + (int) p, "embeddings");
        assertThatThrownBy(() -> graph.output(false, ids, new INDArray[]{Nd4j.createFromArray(new double[][]{{0, 1}, {0, 0}})}))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Text 1", "no token", "according to the mask", "embeddings");
    }

    private static TransformerShape withPadding(TransformerShape shape, int padding) {
        return new TransformerShape(shape.family(), shape.vocabulary(), shape.positions(), shape.tokenTypes(), shape.hidden(),
                shape.intermediate(), shape.layers(), shape.heads(), shape.epsilon(), shape.activation(), padding, shape.tied());
    }

    /** As in checkpoints of GPT-2 whose padding is the end of a text, which also begins one. */
    @Test
    void inGpt2AMaskSaysWhichEndsOfTextsAreTokens() {
        TransformerShape none = Tiny.shape(Family.GPT2);
        double end = 10;
        for (Head head : List.of(Head.nextWord(), Head.tokenVectors())) {
            ComputationGraph graph = new Tiny(withPadding(none, 10), head).network(DataType.DOUBLE, new NoOp());
            ComputationGraph other = new Tiny(none, head).network(DataType.DOUBLE, new NoOp());
            other.setParams(graph.params());
            INDArray ids = Nd4j.createFromArray(new double[][]{{end, 5, end, 6, end, end, end}});
            INDArray mask = Nd4j.createFromArray(new double[][]{{1, 1, 1, 1, 1, 0, 0}});

            INDArray actual = graph.output(false, new INDArray[]{ids}, new INDArray[]{mask})[0];
            INDArray expected = other.outputSingle(Nd4j.createFromArray(new double[][]{{end, 5, end, 6, end}}));
            assertThat(difference(actual.getRows(0, 1, 2, 3, 4), expected)).isLessThan(1e-12);
            INDArray left = Nd4j.createFromArray(new double[][]{{end, end, end, 5, end, 7}});
            INDArray leftMask = Nd4j.createFromArray(new double[][]{{0, 0, 1, 1, 0, 1}});
            assertThat(graph.output(false, new INDArray[]{left}, new INDArray[]{leftMask})[0].rows()).isEqualTo(6);
            assertThatThrownBy(() -> graph.outputSingle(ids)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("Text 0", "padding id 10", "as token 0", "give a mask", "pad on the right");
        }
    }

    /** As in PyTorch, where it is the last id that is not the padding id. */
    @Test
    void gpt2ClassifiesTheLastTokenThatIsNoEndOfTheText() {
        Tiny tiny = new Tiny(withPadding(Tiny.shape(Family.GPT2), 10), Head.classifier(Tiny.CLASSES));
        ComputationGraph graph = tiny.network(DataType.DOUBLE, new NoOp());
        INDArray[] ids = {Nd4j.createFromArray(new double[][]{{10, 10, 4, 6}})};
        INDArray[] ended = {Nd4j.createFromArray(new double[][]{{10, 10, 4, 6, 10, 10}})};
        INDArray[] mask = {Nd4j.createFromArray(new double[][]{{0, 1, 1, 1}})};
        INDArray[] longer = {Nd4j.createFromArray(new double[][]{{0, 1, 1, 1, 1, 0}})};

        assertThat(difference(graph.output(false, ended, longer)[0], graph.output(false, ids, mask)[0])).isLessThan(1e-12);
        INDArray[] only = {Nd4j.createFromArray(new double[][]{{10, 10}})};
        assertThat(graph.output(false, only, new INDArray[]{Nd4j.createFromArray(new double[][]{{0, 1}})})[0].sumNumber()
                .doubleValue()).isBetween(0.999, 1.001);
    }

    /** INT ids and masks, and none of token types, as DL4J's BertIterator gives them for masked words. */
    @Test
    void masksOfDl4jsBertIteratorAreTaken() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.maskedWords());
        ComputationGraph graph = tiny.network(DataType.FLOAT, new NoOp());
        INDArray ids = Nd4j.createFromArray(new int[][]{{3, 5, 6, 4, 0}, {3, 4, 0, 0, 0}});
        INDArray mask = Nd4j.createFromArray(new int[][]{{1, 1, 1, 1, 0}, {1, 1, 0, 0, 0}});
        INDArray words = Nd4j.createFromArray(new int[][]{{3, 5, 7, 4, 0}, {3, 4, 0, 0, 0}});
        INDArray asked = Nd4j.createFromArray(new int[][]{{0, 0, 1, 0, 0}, {0, 1, 0, 0, 0}});

        double with = graph.score(new MultiDataSet(new INDArray[]{ids}, new INDArray[]{words}, new INDArray[]{mask},
                new INDArray[]{asked}), false);
        double without = graph.score(new MultiDataSet(new INDArray[]{ids.castTo(DataType.FLOAT)}, new INDArray[]{
                Nd4j.createFromArray(new float[][]{{-100, -100, 7, -100, -100}, {-100, 4, -100, -100, -100}})}), false);
        assertThat(with).isEqualTo(without);
    }
}
