package io.github.dl4jlora.transformers;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

@ExtendWith(DoublePrecision.class)
@Tag("heavy")
class TransformerGradientsTest {

    private static final double STEP = 1e-6;
    private static final String FEW = "io.github.dl4jlora.transformers.Tiny#few";
    private static final String OTHERS = "io.github.dl4jlora.transformers.Tiny#others";

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void everyParameterHasTheGradientThatFiniteDifferencesShow(Tiny tiny) {
        check(tiny, tiny.network(DataType.DOUBLE, new NoOp()));
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void adaptersOnAllDenseLayersHaveTheGradientThatFiniteDifferencesShow(Tiny tiny) {
        check(tiny, adapted(tiny, LoRAConfig.builder().allTargets()));
    }

    /** Through the layers between them, which stay as they are. */
    @ParameterizedTest
    @EnumSource(value = Family.class, names = {"BERT", "GPT2"})
    void adaptersOnQueryAndValueHaveTheGradientThatFiniteDifferencesShow(Family family) {
        checkQueryAndValue(Tiny.languageModel(Tiny.shape(family)));
    }

    private static void checkQueryAndValue(Tiny tiny) {
        check(tiny, adapted(tiny, LoRAConfig.builder().targets(Transformer.QUERY_VALUE)));
    }

    @ParameterizedTest
    @MethodSource(FEW)
    void onQueryAndValueTheyHaveItUnderOtherHeadsToo(Tiny tiny) {
        checkQueryAndValue(tiny);
    }

    @ParameterizedTest
    @MethodSource(OTHERS)
    void inOtherNetworksTheyHaveItToo(Tiny tiny) {
        everyParameterHasTheGradientThatFiniteDifferencesShow(tiny);
        checkQueryAndValue(tiny);
        adaptersOnAllDenseLayersHaveTheGradientThatFiniteDifferencesShow(tiny);
    }

    /** What trains in full beside adapters is in the vector, whatever is tied to it. */
    @Test
    void wordsAndBiasThatTrainBesideAdaptersHaveTheGradientThatFiniteDifferencesShow() {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.maskedWords());
        for (String trained : new String[]{"bert\\.embeddings", "cls\\.predictions"}) {
            check(tiny, adapted(tiny, LoRAConfig.builder().targets(Transformer.QUERY_VALUE).trainable(trained)));
        }
    }

    @Test
    void anUntiedMatrixAndTheWordsThatTrainBesideAdaptersEachHaveAGradientOfTheirOwn() {
        Tiny tiny = Tiny.languageModel(Tiny.shape(Family.BERT).untied());
        for (String trained : new String[]{"bert\\.embeddings", "cls\\.predictions\\.decoder", "cls.*|bert\\.embeddings"}) {
            check(tiny, adapted(tiny, LoRAConfig.builder().targets(Transformer.QUERY_VALUE).trainable(trained)));
        }
    }

    @Test
    void aBiasOfTheScoresThatTrainsBesideAdaptersOrAloneHasTheGradientThatFiniteDifferencesShow() {
        for (Head head : List.of(Head.maskedWords(), Head.meanPooling())) {
            Tiny tiny = new Tiny(Tiny.shape(Family.MPNET), head);
            String bias = ".*encoder\\.relative_attention_bias";
            check(tiny, adapted(tiny, LoRAConfig.builder().targets(Transformer.QUERY_VALUE).trainable(bias)));
            check(tiny, adapted(tiny, LoRAConfig.builder().targets(".*layer\\.1\\.output\\.dense").trainable(bias)));
        }
    }

    private static ComputationGraph adapted(Tiny tiny, LoRAConfig.Builder config) {
        ComputationGraph adapted = LoRA.apply(tiny.network(DataType.DOUBLE, new NoOp()),
                config.rank(2).alpha(2).updater(new NoOp()).build());
        adapted.params().addi(Nd4j.randn(DataType.DOUBLE, adapted.params().shape()).muli(0.3));
        return adapted;
    }

    /**
     * Compares with finite differences along one random direction of each parameter: a wrong gradient would not match by chance,
     * and every element would take minutes.
     */
    private static void check(Tiny tiny, ComputationGraph graph) {
        Map<String, INDArray> gradients = tiny.gradientTable(graph);
        Map<String, INDArray> parameters = graph.paramTable();
        assertThat(gradients.keySet()).isEqualTo(parameters.keySet());
        parameters.forEach((key, values) -> {
            INDArray direction = Nd4j.randn(DataType.DOUBLE, values.shape()).muli(STEP);
            double shown = (score(tiny, graph, values, direction) - score(tiny, graph, values, direction.neg())) / 2;
            // DL4J divides gradients by the minibatch later.
            double told = gradients.get(key).mul(direction).sumNumber().doubleValue() / tiny.ids(DataType.DOUBLE).size(0);
            assertThat(told).as(key).isCloseTo(shown, within(1e-5 * Math.abs(shown) + 1e-8 * STEP));
        });
    }

    private static double score(Tiny tiny, ComputationGraph graph, INDArray values, INDArray direction) {
        values.addi(direction);
        double score = graph.score(tiny.batch(DataType.DOUBLE), true);
        values.subi(direction);
        return score;
    }
}
