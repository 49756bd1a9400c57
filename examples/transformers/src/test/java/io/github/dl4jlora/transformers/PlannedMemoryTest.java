package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.LoRAPlan;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** What {@code LoRA.plan} says beside the sizes of DL4J's workspaces, once these have learnt. */
@Tag("heavy")
class PlannedMemoryTest {

    private static final String EACH = ".*(query|key|value|dense|_lin|lin\\d|c_[a-z]+|attn\\.[qkvo])";
    private static final int TEXTS = 4;
    private static final int HIDDEN = 32;
    private static final int SHORT = 24;
    private static final int LONG = 96;
    /** Of what is kept a plan lacks the scores of a batch, a few numbers. */
    private static final double OF_ACTIVATIONS = 0.001;
    /** Of working memory a plan lacks vectors, such as sums over rows, which count more the less rows there are. */
    private static final double OF_OTHERS = 0.02;

    private static TransformerShape shape(Family family, int layers) {
        int wide = 4 * HIDDEN;
        return switch (family) {
            case BERT -> TransformerShape.bert(50, 400, HIDDEN, wide, layers, 2);
            case ROBERTA -> TransformerShape.roberta(50, 400, HIDDEN, wide, layers, 2);
            case XLM_ROBERTA -> TransformerShape.xlmRoberta(50, 400, HIDDEN, wide, layers, 2);
            case CAMEMBERT -> TransformerShape.camembert(50, 400, HIDDEN, wide, layers, 2);
            case DISTILBERT -> TransformerShape.distilBert(50, 400, HIDDEN, wide, layers, 2);
            case GPT2 -> TransformerShape.gpt2(50, 400, HIDDEN, layers, 2);
            case MPNET -> TransformerShape.mpnet(50, 400, HIDDEN, wide, layers, 2);
        };
    }

    private static ComputationGraph classifier(Family family) {
        return classifier(family, 2);
    }

    private static ComputationGraph classifier(Family family, int layers) {
        return Tiny.initialised(Transformer.addTo(new NeuralNetConfiguration.Builder().seed(3)
                .updater(new Adam(1e-4)).graphBuilder(), shape(family, layers), Head.classifier(2)).build());
    }

    private static MultiDataSet batch(int tokens) {
        INDArray ids = Nd4j.ones(DataType.FLOAT, TEXTS, tokens).muli(5);
        return new MultiDataSet(ids, Nd4j.ones(DataType.FLOAT, TEXTS, 2).divi(2));
    }

    private static LoRAConfig.Builder config(String targets) {
        return LoRAConfig.builder().rank(2).seed(5).targets(targets).updater(new Adam(1e-4));
    }

    private static LoRAPlan plan(ComputationGraph base, LoRAConfig config, int tokens) {
        return LoRA.plan(base, config, TEXTS, InputType.feedForward(tokens));
    }

    @ParameterizedTest
    @EnumSource(Family.class)
    void everyFamilyTakesWhatWasPlanned(Family family) {
        assertAdaptedAsPlanned(family, SHORT);
    }

    @ParameterizedTest
    @EnumSource(Family.class)
    void forLongerTextsItDoesToo(Family family) {
        assertAdaptedAsPlanned(family, LONG);
    }

    private static void assertAdaptedAsPlanned(Family family, int tokens) {
        for (LoRAConfig config : List.of(config(Transformer.QUERY_VALUE).build(),
                config(Transformer.QUERY_VALUE).recompute(Transformer.BLOCKS).build(),
                config(EACH).recompute(Transformer.BLOCKS).build())) {
            ComputationGraph base = classifier(family);
            assertAsPlanned(config + " " + tokens, plan(base, config, tokens).adapted(),
                    Grown.of(LoRA.apply(base, config), batch(tokens)));
        }
    }

    /** Attention copies few rows, and their gradients. Feed-forward layers of few outputs need less than these copies. */
    @ParameterizedTest
    @EnumSource(value = Family.class, names = {"BERT", "GPT2"})
    void copiesOfFewRowsArePlanned(Family family) {
        TransformerShape narrow = family == Family.BERT ? TransformerShape.bert(50, 400, HIDDEN, 8, 2, 2) : shape(family, 2);
        LoRAConfig config = config(Transformer.QUERY_VALUE).build();
        ComputationGraph base = new Tiny(narrow, Head.classifier(2)).network(DataType.FLOAT, new Adam(1e-4));

        long planned = plan(base, config, 2).adapted().workspaces();
        long grown = Grown.of(LoRA.apply(base, config), batch(2)).others();

        assertThat((double) planned / grown).as("other workspaces, planned over grown").isCloseTo(1, within(OF_OTHERS));
    }

    @ParameterizedTest
    @EnumSource(Family.class)
    void trainingInFullTakesWhatWasPlanned(Family family) {
        ComputationGraph base = classifier(family);
        LoRAPlan plan = plan(base, config(EACH).build(), SHORT);

        assertAsPlanned("in full", plan.full(), Grown.of(base, batch(SHORT)));
    }

    private static void assertAsPlanned(String what, LoRAPlan.Memory planned, Grown grown) {
        assertThat((double) planned.activations() / grown.activations()).as("activations, planned over grown, %s", what)
                .isCloseTo(1, within(OF_ACTIVATIONS));
        assertThat((double) planned.workspaces() / grown.others()).as("other workspaces, planned over grown, %s", what)
                .isCloseTo(1, within(OF_OTHERS));
    }

    static Stream<Tiny> few() {
        return Tiny.few().map(PlannedMemoryTest::wider);
    }

    static Stream<Tiny> others() {
        return Tiny.others().map(PlannedMemoryTest::wider);
    }

    private static Tiny wider(Tiny tiny) {
        TransformerShape wider = shape(tiny.shape().family(), 2);
        return new Tiny(tiny.shape().tied() ? wider : wider.untied(), tiny.head());
    }

    @ParameterizedTest
    @MethodSource("others")
    void underOtherHeadsTheyDoToo(Tiny tiny) {
        outputsUnderAHeadTakeWhatWasPlanned(tiny);
    }

    /** Texts of five tokens, so that what a plan does not know, single numbers and vectors, counts more. */
    @ParameterizedTest
    @MethodSource("few")
    void outputsUnderAHeadTakeWhatWasPlanned(Tiny tiny) {
        for (DataType type : List.of(DataType.FLOAT, DataType.DOUBLE)) {
            for (LoRAConfig config : List.of(config(Transformer.QUERY_VALUE).build(),
                    config(EACH).trainable(".*(embeddings|LayerNorm|layer_norm|ln_\\d)").recompute(Transformer.BLOCKS).build())) {
                ComputationGraph base = tiny.network(type, new Adam(1e-4));
                LoRAPlan plan = LoRA.plan(base, config, 3, tiny.inputTypes());

                Grown grown = Grown.of(LoRA.apply(base, config), tiny.batch(type), 3);
                assertThat((double) plan.adapted().activations() / grown.activations())
                        .as("planned over grown, %s, %s", type, config).isCloseTo(1, within(0.01));
            }
        }
    }

    @Test
    void memoryGrowsWithTheLengthOfTexts() {
        for (LoRAConfig config : List.of(config(EACH).build(), config(EACH).recompute(Transformer.BLOCKS).build())) {
            long once = activations(Family.BERT, config, 100);
            assertThat(activations(Family.BERT, config, 200) - once).isCloseTo(activations(Family.BERT, config, 300)
                    - activations(Family.BERT, config, 200), within(4L)).isGreaterThan(once * 99 / 100);
        }
    }

    private static long activations(Family family, LoRAConfig config, int tokens) {
        return plan(classifier(family), config, tokens).adapted().activations();
    }

    @ParameterizedTest
    @EnumSource(Family.class)
    void aBlockMoreThatIsComputedAgainCostsOneOutput(Family family) {
        LoRAConfig config = config(EACH).recompute(Transformer.BLOCKS).build();
        long two = plan(classifier(family, 2), config, SHORT).adapted().activations();
        long three = plan(classifier(family, 3), config, SHORT).adapted().activations();

        assertThat(three - two).isCloseTo(Math.round(1.05 * Float.BYTES * TEXTS * SHORT * HIDDEN), within(4L));
    }

    @Test
    void idsAreGivenByTheirNumber() {
        ComputationGraph base = classifier(Family.BERT);
        assertThatThrownBy(() -> LoRA.plan(base, config(EACH).build(), TEXTS, InputType.recurrent(1, SHORT)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"bert.embeddings\" (TokenEmbeddings) does not take");
        assertThatThrownBy(() -> LoRA.plan(base, config(EACH).build(), TEXTS)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("InputType.feedForward(length) for that many word ids");
    }

    @Test
    void textsThatAreTooLongAreRefused() {
        assertThatThrownBy(() -> plan(classifier(Family.BERT), config(EACH).build(), 401))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"bert.embeddings\" has positions for 400 tokens, but texts of 401 are planned");
    }

    /** Bytes of workspaces in a thread that has trained nothing else. */
    private record Grown(long activations, long others) {

        /** Workspaces other than those of outputs learn until they were entered as often as there are vertices. */
        static Grown of(ComputationGraph graph, MultiDataSet batch) {
            return of(graph, batch, graph.getVertices().length + 1);
        }

        static Grown of(ComputationGraph graph, MultiDataSet batch, int steps) {
            return CompletableFuture.supplyAsync(() -> {
                for (int step = 0; step < steps; step++) {
                    graph.fit(batch);
                }
                long[] sizes = new long[2];
                for (MemoryWorkspace workspace : Nd4j.getWorkspaceManager().getAllWorkspacesForCurrentThread()) {
                    sizes[workspace.getId().endsWith("_ACT") ? 0 : 1] += workspace.getCurrentSize();
                    Nd4j.getWorkspaceManager().destroyWorkspace(workspace);
                }
                return new Grown(sizes[0], sizes[1]);
            }, run -> new Thread(run).start()).join();
        }
    }
}
