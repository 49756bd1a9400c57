package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.footprint.Rows;
import io.github.dl4jlora.footprint.TrainingFootprint;
import io.github.dl4jlora.report.LoRAPlan;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.function.Function;
import java.util.function.ToLongFunction;
import java.util.function.UnaryOperator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Outputs that pass, outputs that are computed again, and vertices that say what they hold. */
class KeptOutputsTest {

    private static final int BATCH = 64;
    private static final int WIDTH = 40;
    private static final int RANK = 4;
    private static final double MORE = 1.05;
    private static final long TIMES = 1000;
    private static final LoRAConfig BELOW = LoRAConfig.builder().rank(RANK).targets("a").build();

    /** An adapted layer and four frozen ones in a row. */
    private static ComputationGraph graph(Activation frozen, WorkspaceMode workspaces) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(1e-4))
                .trainingWorkspaceMode(workspaces).graphBuilder().addInputs("in")
                .addLayer("a", WorkspacesTest.dense(WIDTH, Activation.IDENTITY), "in");
        String last = "a";
        for (String name : List.of("b", "c", "d", "e")) {
            graph.addLayer(name, WorkspacesTest.dense(WIDTH, frozen), last);
            last = name;
        }
        return made(graph, last);
    }

    private static ComputationGraph made(GraphBuilder graph, String last) {
        return Networks.of(graph.addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(5)
                .activation(Activation.SOFTMAX).build(), last).setOutputs("out").setInputTypes(InputType.feedForward(WIDTH))
                .build());
    }

    private static LoRAPlan.Memory planned(ComputationGraph base, LoRAConfig config) {
        return LoRA.plan(base, config, BATCH, InputType.feedForward(WIDTH)).adapted();
    }

    private static void assertGrown(ComputationGraph base, LoRAConfig config, LoRAPlan.Memory planned)
            throws InterruptedException {
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 5, BATCH, WIDTH), Nd4j.ones(DataType.FLOAT, BATCH, 5).divi(5));
        long grown = WorkspacesTest.grown(LoRA.apply(base, config), data)[0];

        assertThat((double) planned.activations() / grown).as("activations, planned over grown").isCloseTo(1, within(0.005));
    }

    /** The output layer reads the last one; of the others a layer reads one while it writes the next. */
    @Test
    void outputsThatPassTakeTwoPlacesInTurn() throws InterruptedException {
        ComputationGraph base = graph(Activation.IDENTITY, WorkspaceMode.ENABLED);
        LoRAPlan.Memory planned = planned(base, BELOW);

        assertThat(planned.scratch()).isEqualTo(Float.BYTES * (2 * BATCH * WIDTH + 2 * BATCH * RANK));
        assertGrown(base, BELOW, planned);
    }

    @Test
    void whatAnActivationNeedsOnTheWayBackIsKept() throws InterruptedException {
        ComputationGraph base = graph(Activation.TANH, WorkspaceMode.ENABLED);
        LoRAPlan.Memory planned = planned(base, BELOW);

        assertThat(planned.activations()).isGreaterThan(planned(graph(Activation.IDENTITY, WorkspaceMode.ENABLED), BELOW)
                .activations() + 4 * Float.BYTES * BATCH * WIDTH);
        assertGrown(base, BELOW, planned);
    }

    @Test
    void withoutWorkspacesAllOutputsAreKept() {
        LoRAPlan.Memory planned = planned(graph(Activation.IDENTITY, WorkspaceMode.NONE), BELOW);

        assertThat(planned.scratch()).isEqualTo(Float.BYTES * 2 * BATCH * RANK);
        assertThat(planned.activations()).isGreaterThanOrEqualTo(Float.BYTES * 5 * BATCH * WIDTH);
    }

    /** Where a stretch starts from is kept, although it would pass. */
    @ParameterizedTest(name = "of stretches up to a, {0} and e")
    @ValueSource(strings = {"b", "c", "d"})
    void whatIsComputedAgainCountsOnce(String between) throws InterruptedException {
        ComputationGraph base = graph(Activation.TANH, WorkspaceMode.ENABLED);
        LoRAConfig again = BELOW.toBuilder().recompute("a", between, "e").build();
        LoRAPlan.Memory planned = planned(base, again);

        assertThat(planned.activations()).isLessThan(planned(base, BELOW).activations() + 3 * Float.BYTES * BATCH * WIDTH);
        assertGrown(base, again, planned);
    }

    /** Gives {@code times} rows for each, and keeps seven values. */
    private static final class Repeated extends ElementWiseVertex implements TrainingFootprint {

        private final int times;

        Repeated(int times) {
            super(Op.Add);
            this.times = times;
        }

        @Override
        public Footprint footprint(Passage passage) {
            assertThat(passage.type()).isEqualTo(DataType.FLOAT);
            return new Footprint(7, 0, 0, passage.in());
        }

        @Override
        public long rows(List<Rows> inputs) {
            return times * inputs.get(0).number();
        }

        @Override
        public Repeated clone() {
            return new Repeated(times);
        }
    }

    private static LoRAPlan.Memory repeated(ElementWiseVertex vertex) {
        return planned(made(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(1e-4)).graphBuilder().addInputs("in")
                .addLayer("a", WorkspacesTest.dense(WIDTH, Activation.TANH), "in").addVertex("repeated", vertex, "a", "in")
                .addLayer("b", WorkspacesTest.dense(10, Activation.TANH), "repeated"), "b"),
                LoRAConfig.builder().rank(RANK).allTargets().build());
    }

    @Test
    void aVertexOfOnesOwnSaysHowManyRowsItGivesAndWhatItHolds() {
        long once = repeated(new Repeated(1)).activations();

        assertThat(repeated(new ElementWiseVertex(ElementWiseVertex.Op.Add)).activations() - once)
                .isCloseTo(Math.round(MORE * Float.BYTES * (BATCH * WIDTH - 7)), within(4L));
        // z and y of b, and what the output layer gives.
        assertThat(repeated(new Repeated(3)).activations() - once)
                .isCloseTo(Math.round(MORE * Float.BYTES * 2 * BATCH * (2 * 10 + 5)), within(4L));
    }

    /** A sum of two inputs that answers what it is told to. */
    private static final class Answering extends ElementWiseVertex implements TrainingFootprint {

        private final Function<Passage, @Nullable Footprint> footprint;
        private final ToLongFunction<List<Rows>> rows;
        private final int backward;

        Answering(Function<Passage, @Nullable Footprint> footprint, ToLongFunction<List<Rows>> rows, int backward) {
            super(Op.Add);
            this.footprint = footprint;
            this.rows = rows;
            this.backward = backward;
        }

        @Override
        @SuppressWarnings("NullAway")
        public Footprint footprint(Passage passage) {
            return footprint.apply(passage);
        }

        @Override
        public long rows(List<Rows> inputs) {
            return rows.applyAsLong(inputs);
        }

        @Override
        public int inputsInBackward(int inputs) {
            return backward;
        }

        @Override
        public Answering clone() {
            return new Answering(footprint, rows, backward);
        }
    }

    /** Answers of which no plan can be made. */
    enum Wrong {
        NO_FOOTPRINT(new Answering(passage -> null, inputs -> BATCH, 2), "footprint(passage) is null, but must be a Footprint"),
        LESS_THAN_NOTHING(new Answering(passage -> new Footprint(0, 0, -5, 0), inputs -> BATCH, 2),
                "A Footprint has -5 values as backward, but must have 0 or more"),
        NO_ROWS(new Answering(passage -> Footprint.NONE, inputs -> 0, 2), "rows(inputs) is 0, but must be at least 1"),
        OTHER_INPUTS(new Answering(passage -> Footprint.NONE, inputs -> {
            throw new IllegalArgumentException("Takes one input only");
        }, 2), "Takes one input only"),
        TOO_MANY_INPUTS(new Answering(passage -> Footprint.NONE, inputs -> BATCH, 3),
                "inputsInBackward(2) is 3, but must be from 0 to the number of inputs, 2"),
        TOO_FEW_INPUTS(new Answering(passage -> Footprint.NONE, inputs -> BATCH, -1), "inputsInBackward(2) is -1");

        private final Answering vertex;
        private final String message;

        Wrong(Answering vertex, String message) {
            this.vertex = vertex;
            this.message = message;
        }
    }

    @ParameterizedTest
    @EnumSource
    void anAnswerOfWhichNoPlanCanBeMadeIsRefused(Wrong wrong) {
        assertThatThrownBy(() -> repeated(wrong.vertex)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("\"repeated\" (Answering): " + wrong.message);
    }

    /** Keeps its output, or says that it need not. */
    private static final class Same extends ActivationLayer implements TrainingFootprint {

        private static final long serialVersionUID = 1L;

        private final transient UnaryOperator<Footprint> footprint;

        Same(UnaryOperator<Footprint> footprint) {
            super(Activation.IDENTITY);
            this.footprint = footprint;
        }

        @Override
        public Footprint footprint(Passage passage) {
            return footprint.apply(new Footprint(0, 0, 0, passage.in()));
        }
    }

    /** Such a layer or vertex between an adapted layer and a frozen one that does not look back. */
    private static LoRAPlan.Memory between(boolean vertex, UnaryOperator<Footprint> footprint) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(1e-4)).graphBuilder().addInputs("in")
                .addLayer("a", WorkspacesTest.dense(WIDTH, Activation.TANH), "in");
        if (vertex) {
            graph.addVertex("own", new Answering(passage -> footprint.apply(Footprint.NONE), inputs -> BATCH, 2), "a", "in");
        } else {
            graph.addLayer("own", new Same(footprint), "a");
        }
        return planned(made(graph.addLayer("b", WorkspacesTest.dense(WIDTH, Activation.IDENTITY), "own"), "b"), BELOW);
    }

    /** DL4J's own layer and vertex run here, which know of no other place. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void anOutputThatIsSaidToPassCountsAsKeptWhereWhatRunsCannotPassIt(boolean vertex) {
        long values = (long) BATCH * WIDTH;

        assertThat(between(vertex, footprint -> footprint.passing(values)))
                .isEqualTo(between(vertex, footprint -> footprint.plus(new Footprint(values, 0, 0, 0))))
                .isNotEqualTo(between(vertex, footprint -> footprint));
    }

    /** Keeps many times its output. */
    private static final class Loss extends LossLayer implements TrainingFootprint {

        private static final long serialVersionUID = 1L;

        Loss(long nOut) {
            super(new LossLayer.Builder(LossFunction.MCXENT).activation(Activation.SOFTMAX));
            this.nOut = nOut;
        }

        @Override
        public Footprint footprint(Passage passage) {
            return new Footprint(TIMES * passage.out(), 0, 0, passage.in());
        }
    }

    private static long lost(long nOut) {
        ComputationGraph network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(1e-4))
                .graphBuilder().addInputs("in").addLayer("a", WorkspacesTest.dense(WIDTH, Activation.TANH), "in")
                .addLayer("loss", new Loss(nOut), "a").setOutputs("loss").setInputTypes(InputType.feedForward(WIDTH)).build());
        return planned(network, BELOW).activations();
    }

    @Test
    void aLossOfOnesOwnHasAsManyOutputsAsInputsUnlessItSaysHowMany() {
        assertThat(lost(0)).isEqualTo(lost(WIDTH)).isGreaterThan(TIMES * Float.BYTES * BATCH * WIDTH);
        assertThat(lost(2 * WIDTH)).isGreaterThan(2 * TIMES * Float.BYTES * BATCH * WIDTH);
    }
}
