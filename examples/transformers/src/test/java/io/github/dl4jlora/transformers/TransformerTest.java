package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class TransformerTest {

    private static final String EVERY = "io.github.dl4jlora.transformers.Tiny#all";

    private static ComputationGraph floats(Tiny tiny) {
        return tiny.network(DataType.FLOAT, new NoOp());
    }

    private static ComputationGraph bare(TransformerShape shape) {
        return floats(new Tiny(shape, Head.tokenVectors()));
    }

    private static List<String> layers(Tiny tiny) {
        ComputationGraph graph = floats(tiny);
        return graph.getConfiguration().getVertices().keySet().stream()
                .filter(name -> graph.getVertex(name).hasLayer() && graph.getLayer(name).numParams() > 0).toList();
    }

    /** Of two blocks. */
    private static TransformerShape shape(Family family) {
        return switch (family) {
            case XLM_ROBERTA -> TransformerShape.xlmRoberta(11, 9, 6, 8, 2, 2);
            case CAMEMBERT -> TransformerShape.camembert(11, 9, 6, 8, 2, 2);
            default -> Tiny.shape(family);
        };
    }

    @ParameterizedTest
    @EnumSource(Family.class)
    void queriesAndValuesAreAdaptedInEveryBlock(Family family) {
        List<String> inABlock = switch (family) {
            case BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT -> List.of("encoder.layer.%d.attention.self.query",
                    "encoder.layer.%d.attention.self.value");
            case DISTILBERT -> List.of("transformer.layer.%d.attention.q_lin", "transformer.layer.%d.attention.v_lin");
            case MPNET -> List.of("encoder.layer.%d.attention.attn.q", "encoder.layer.%d.attention.attn.v");
            case GPT2 -> List.of("h.%d.attn.c_attn");
        };
        LoRAConfig config = LoRAConfig.builder().targets(Transformer.QUERY_VALUE).build();
        TransformerShape shape = shape(family);
        for (Head head : List.of(Head.tokenVectors(), Head.classifier(2), Tiny.languageModel(shape).head())) {
            ComputationGraph graph = floats(new Tiny(shape, head));
            String prefix = head.prefix(family);
            assertThat(LoRAAdapter.of(LoRA.apply(graph, config)).layers()).as(head.toString())
                    .containsExactlyInAnyOrderElementsOf(IntStream.range(0, 2).boxed()
                            .flatMap(block -> inABlock.stream().map(name -> prefix + name.formatted(block))).toList());
        }
    }

    @Test
    void layersBelowAHeadAreNamedAsInPyTorch() {
        assertThat(layers(new Tiny(TransformerShape.bert(11, 7, 6, 8, 1, 2), Head.maskedWords()))).containsExactly(
                "bert.embeddings", "bert.embeddings.LayerNorm", "bert.encoder.layer.0.attention.self.query",
                "bert.encoder.layer.0.attention.self.key", "bert.encoder.layer.0.attention.self.value",
                "bert.encoder.layer.0.attention.output.dense", "bert.encoder.layer.0.attention.output.LayerNorm",
                "bert.encoder.layer.0.intermediate.dense", "bert.encoder.layer.0.output.dense",
                "bert.encoder.layer.0.output.LayerNorm", "cls.predictions.transform.dense",
                "cls.predictions.transform.LayerNorm", "cls.predictions");
        assertThat(layers(new Tiny(TransformerShape.distilBert(11, 7, 6, 8, 1, 2), Head.classifier(2)))).containsExactly(
                "distilbert.embeddings", "distilbert.embeddings.LayerNorm", "distilbert.transformer.layer.0.attention.q_lin",
                "distilbert.transformer.layer.0.attention.k_lin", "distilbert.transformer.layer.0.attention.v_lin",
                "distilbert.transformer.layer.0.attention.out_lin", "distilbert.transformer.layer.0.sa_layer_norm",
                "distilbert.transformer.layer.0.ffn.lin1", "distilbert.transformer.layer.0.ffn.lin2",
                "distilbert.transformer.layer.0.output_layer_norm", "pre_classifier", "classifier");
        assertThat(layers(new Tiny(TransformerShape.gpt2(11, 7, 6, 1, 2), Head.classifier(2)))).containsExactly(
                "transformer.embeddings", "transformer.h.0.ln_1", "transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj",
                "transformer.h.0.ln_2", "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj", "transformer.ln_f", "score");
        assertThat(layers(new Tiny(Tiny.shape(Family.ROBERTA), Head.classifier(2)))).startsWith("roberta.embeddings")
                .endsWith("classifier.dense", "classifier.out_proj");
        assertThat(layers(new Tiny(Tiny.shape(Family.ROBERTA), Head.maskedWords())))
                .endsWith("lm_head.dense", "lm_head.layer_norm", "lm_head");
        for (TransformerShape shape : List.of(TransformerShape.xlmRoberta(11, 9, 6, 8, 2, 2),
                TransformerShape.camembert(11, 9, 6, 8, 2, 2))) {
            for (Head head : List.of(Head.pooler(), Head.classifier(2), Head.maskedWords())) {
                assertThat(layers(new Tiny(shape, head))).isEqualTo(layers(new Tiny(Tiny.shape(Family.ROBERTA), head)));
            }
        }
        assertThat(layers(new Tiny(TransformerShape.mpnet(11, 9, 6, 8, 1, 2), Head.classifier(2)))).containsExactly(
                "mpnet.embeddings", "mpnet.embeddings.LayerNorm", "mpnet.encoder.relative_attention_bias",
                "mpnet.encoder.layer.0.attention.attn.q", "mpnet.encoder.layer.0.attention.attn.k",
                "mpnet.encoder.layer.0.attention.attn.v", "mpnet.encoder.layer.0.attention.attn.o",
                "mpnet.encoder.layer.0.attention.LayerNorm", "mpnet.encoder.layer.0.intermediate.dense",
                "mpnet.encoder.layer.0.output.dense", "mpnet.encoder.layer.0.output.LayerNorm", "classifier.dense",
                "classifier.out_proj");
        assertThat(layers(new Tiny(Tiny.shape(Family.MPNET), Head.maskedWords())))
                .endsWith("lm_head.dense", "lm_head.layer_norm", "lm_head");
        assertThat(layers(new Tiny(Tiny.shape(Family.BERT), Head.classifier(2)))).endsWith("bert.pooler.dense", "classifier");
        assertThat(layers(new Tiny(Tiny.shape(Family.DISTILBERT), Head.maskedWords())))
                .endsWith("vocab_transform", "vocab_layer_norm", "vocab_projector");
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#shapes")
    void theBareModelHasNoPrefixAndGivesTheVectorsOfAllTokens(TransformerShape shape) {
        Tiny tiny = new Tiny(shape, Head.tokenVectors());

        assertThat(layers(tiny)).startsWith("embeddings");
        assertThat(tiny.output(floats(tiny)).shape()).containsExactly(15, 6);
    }

    @ParameterizedTest
    @MethodSource(EVERY)
    void paddingChangesNothing(Tiny tiny) {
        ComputationGraph graph = floats(tiny);
        INDArray[] inputs = tiny.inputs(DataType.FLOAT);
        INDArray expected = tiny.output(graph);
        inputs[0] = Nd4j.concat(1, inputs[0], Nd4j.zeros(DataType.FLOAT, 3, 2).addi(tiny.shape().padding()));
        int types = graph.getConfiguration().getNetworkInputs().indexOf(Transformer.TOKEN_TYPE_IDS);
        if (types > 0) {
            inputs[types] = Nd4j.concat(1, inputs[types], Nd4j.zeros(DataType.FLOAT, 3, 2));
        }
        INDArray actual = graph.output(inputs)[0];

        boolean everyToken = actual.size(0) == 21;
        INDArray ofTokens = everyToken ? actual.reshape('c', 3, 7, actual.size(1))
                .get(NDArrayIndex.all(), NDArrayIndex.interval(0, 5), NDArrayIndex.all()).dup('c').reshape('c', expected.shape())
                : actual;
        if (tiny.head().kind() == Head.Kind.ANSWER) {
            // Scores of each token as a start, and then as an end.
            ofTokens = Nd4j.concat(1, actual.get(NDArrayIndex.all(), NDArrayIndex.interval(0, 5)),
                    actual.get(NDArrayIndex.all(), NDArrayIndex.interval(7, 12)));
        }
        INDArray difference = ofTokens.sub(expected);
        // What becomes of padding itself is nobody's business.
        difference = everyToken ? difference.getRows(0, 1, 2, 3, 4, 5, 6, 7, 10) : difference;
        assertThat(difference.amaxNumber().doubleValue()).isLessThan(1e-5);
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#shapes")
    void onlyInACausalFamilyDoTokensNotSeeThoseAfterThem(TransformerShape shape) {
        ComputationGraph graph = bare(shape);
        INDArray one = graph.outputSingle(Nd4j.createFromArray(new float[][]{{5, 6, 7, 8}}));
        INDArray other = graph.outputSingle(Nd4j.createFromArray(new float[][]{{5, 6, 7, 9}}));

        double change = one.getRows(0, 1, 2).sub(other.getRows(0, 1, 2)).amaxNumber().doubleValue();
        assertThat(change == 0).isEqualTo(shape.family().isCausal());
        assertThat(one.getRow(3)).isNotEqualTo(other.getRow(3));
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#shapes")
    void positionsAreThoseOfTheFamily(TransformerShape shape) {
        ComputationGraph graph = bare(shape);
        INDArray words = graph.getParam("embeddings_W").assign(0);
        INDArray positions = graph.getParam("embeddings_P");
        for (int i = 0; i < positions.size(0); i++) {
            positions.getRow(i).assign(i);
        }
        if (shape.tokenTypes() > 0) {
            graph.getParam("embeddings_T").assign(0);
        }
        float padding = shape.padding();
        float midst = Math.max(padding, 0);
        graph.setLayerMaskArrays(new INDArray[]{Nd4j.createFromArray(new float[][]{{1, 1, 1, 0}})}, null);
        INDArray rows = graph.feedForward(Nd4j.createFromArray(new float[][]{{5, midst, 7, padding}}), false).get("embeddings");

        double[] expected = shape.family().countsPositionsFromPadding() ? new double[]{2, 1, 3, 1} : new double[]{0, 1, 2, 3};
        assertThat(rows.getColumn(0).toDoubleVector()).containsExactly(expected);
        assertThat(words.sumNumber().doubleValue()).isZero();
    }

    @ParameterizedTest
    @MethodSource("io.github.dl4jlora.transformers.Tiny#shapes")
    void badIdsAreNamedWithTextValueAndBound(TransformerShape shape) {
        ComputationGraph graph = bare(shape);
        float padding = shape.padding();

        assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new float[][]{{3, 4}, {3, 11}})))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Token id 11", "token 1 of text 1", "vocabulary of 11", "embeddings");
        assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new float[][]{{3, -2}})))
                .hasMessageContaining("Token id -2");
        for (float none : new float[]{1.5f, Float.NaN}) {
            assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new float[][]{{3, 2}, {3, none}})))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("Token id " + none, "number 1 of text 1", "not a whole number", "embeddings");
        }
        assertThatThrownBy(() -> graph.outputSingle(Nd4j.ones(DataType.FLOAT, 1, 8).addi(3)))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("[1, 8]", "text 0", "at most 7 tokens");
        assertThatThrownBy(() -> graph.outputSingle(Nd4j.createFromArray(new float[][]{{3, 2}, {padding, padding}})))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("Text 1", "no token");
        assertThat(shape.longestText()).isEqualTo(7);
    }

    static Stream<Tiny> languageModels() {
        return Tiny.few().filter(Tiny::languageModel);
    }

    static Stream<Tiny> otherLanguageModels() {
        return Tiny.others().filter(Tiny::languageModel);
    }

    @Tag("heavy")
    @ParameterizedTest
    @MethodSource("otherLanguageModels")
    void othersLearnToo(Tiny tiny) {
        itLearns(tiny);
    }

    @ParameterizedTest
    @MethodSource("languageModels")
    void itLearns(Tiny tiny) {
        ComputationGraph graph = tiny.network(DataType.FLOAT, new Adam(1e-2));
        double before = graph.score(tiny.batch(DataType.FLOAT), false);
        for (int step = 0; step < 40; step++) {
            graph.fit(tiny.batch(DataType.FLOAT));
        }

        assertThat(graph.score(tiny.batch(DataType.FLOAT), false)).isLessThan(before / 2);
    }

    @Test
    void positionsOutsideOfATextAreNamed() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.maskedWordsAtPositions());
        ComputationGraph graph = floats(tiny);

        assertThatThrownBy(() -> graph.output(tiny.ids(DataType.FLOAT), Nd4j.createFromArray(new float[][]{{0}, {5}, {0}})))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("masked_rows", "position 5 of text 1", "5 tokens");
        assertThatThrownBy(() -> graph.output(tiny.ids(DataType.FLOAT), Nd4j.createFromArray(new float[][]{{0}})))
                .hasMessageContainingAll("[1, 1]", "[3, k]");
        assertThatThrownBy(() -> graph.output(tiny.ids(DataType.FLOAT), Nd4j.createFromArray(new float[][]{{0}, {0.5f}, {1}})))
                .hasMessageContainingAll("Position 0.5", "text 1", "masked_rows");
    }

    @Test
    void sizesThatCannotBeAndHeadsThatAreNotAreRefused() {
        assertThatThrownBy(() -> TransformerShape.bert(11, 7, 6, 8, 2, 4)).hasMessageContainingAll("hidden is 6", "4 heads");
        assertThatThrownBy(() -> TransformerShape.bert(11, 7, 6, 8, 0, 2)).hasMessageContainingAll("layers is 0", "at least 1");
        assertThatThrownBy(() -> TransformerShape.roberta(11, 2, 6, 8, 1, 2)).hasMessageContainingAll("positions is 2",
                "position 2");
        assertThatThrownBy(() -> Head.classifier(1)).hasMessageContaining("at least 2");
        for (Tiny none : Arrays.asList(new Tiny(Tiny.shape(Family.GPT2), Head.maskedWords()),
                new Tiny(Tiny.shape(Family.BERT), Head.nextWord()), new Tiny(Tiny.shape(Family.DISTILBERT), Head.pooler()))) {
            assertThatThrownBy(() -> Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), none.shape(),
                    none.head())).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll(none.shape().family().name(), none.head().kind().name());
        }
    }
}
