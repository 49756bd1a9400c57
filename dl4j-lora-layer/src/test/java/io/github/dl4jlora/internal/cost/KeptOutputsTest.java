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
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Outputs that pass, outputs that are computed again, and vertices that say what they hold. */
class KeptOutputsTest {

    private static final int BATCH = 64;
    private static final int WIDTH = 40;
    private static final int RANK = 4;
    private static final double MORE = 1.05;
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
        ComputationGraph network = new ComputationGraph(graph.addLayer("out", new OutputLayer.Builder(LossFunction.MCXENT).nOut(5)
                .activation(Activation.SOFTMAX).build(), last).setOutputs("out").setInputTypes(InputType.feedForward(WIDTH))
                .build());
        network.init();
        return network;
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
    @Test
    void whatIsComputedAgainCountsOnce() throws InterruptedException {
        ComputationGraph base = graph(Activation.TANH, WorkspaceMode.ENABLED);
        LoRAConfig again = BELOW.toBuilder().recompute("a", "c", "e").build();
        LoRAPlan.Memory planned = planned(base, again);

        assertThat(planned.activations()).isLessThan(planned(base, BELOW).activations() + 2 * Float.BYTES * BATCH * WIDTH);
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
}
