package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.objdetect.Yolo2OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A graph of which a part is computed again is used like any other. */
class RecomputedGraphTest {

    /** Fails on demand. */
    public static final class Failing extends ActivationTanH {

        private static final long serialVersionUID = 1L;

        static boolean fails;

        @Override
        public INDArray getActivation(INDArray in, boolean training) {
            if (fails) {
                throw new IllegalStateException("on demand");
            }
            return super.getActivation(in, training);
        }
    }

    /** "merge" of two inputs, then a, b, c and out; and from x2 a branch that joins c's output. */
    private static ComputationGraph base(WorkspaceMode training) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(1).activation(Activation.TANH).dataType(DataType.DOUBLE)
                .trainingWorkspaceMode(training).graphBuilder().addInputs("x1", "x2")
                .addVertex("merge", new MergeVertex(), "x1", "x2")
                .addLayer("a", new DenseLayer.Builder().nOut(6).build(), "merge")
                .addLayer("branch", new DenseLayer.Builder().nOut(4).activation(new Failing()).build(), "x2")
                .addLayer("b", new DenseLayer.Builder().nOut(5).build(), "a")
                .addLayer("c", new DenseLayer.Builder().nOut(4).build(), "b")
                .addVertex("joined", new MergeVertex(), "c", "branch")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build(),
                        "joined")
                .setOutputs("out").setInputTypes(InputType.feedForward(3), InputType.feedForward(2));
        ComputationGraph base = new ComputationGraph(graph.build());
        base.init();
        return base;
    }

    private static ComputationGraph base() {
        return base(WorkspaceMode.ENABLED);
    }

    private static LoRAConfig.Builder config(String... targets) {
        return LoRAConfig.builder().rank(2).seed(2).targets(targets).updater(new Sgd(0.1));
    }

    private static MultiDataSet data() {
        Nd4j.getRandom().setSeed(1);
        return new MultiDataSet(new INDArray[]{Nd4j.rand(DataType.DOUBLE, 7, 3), Nd4j.rand(DataType.DOUBLE, 7, 2)},
                new INDArray[]{Nd4j.rand(DataType.DOUBLE, 7, 2)});
    }

    private static INDArray trained(ComputationGraph network) {
        for (int step = 0; step < 3; step++) {
            network.fit(data());
        }
        return network.params().dup();
    }

    @Test
    void isSummarised() {
        ComputationGraph kept = LoRA.apply(base(), config("a", "b", "c").build());
        ComputationGraph again = LoRA.apply(base(), config("a", "b", "c").recompute("a", "c").build());

        assertThat(again.summary()).isEqualTo(kept.summary());
        assertThat(again.summary(InputType.feedForward(3), InputType.feedForward(2)))
                .isEqualTo(kept.summary(InputType.feedForward(3), InputType.feedForward(2)));
        assertThat(again.feedForward(data().getFeatures(), false)).isEqualTo(kept.feedForward(data().getFeatures(), false));
    }

    /** Nothing below trains, and the only layer that reads its output gives no gradient of it. */
    @Test
    void beginsAtAVertexThatEndsBackpropagation() {
        INDArray expected = trained(LoRA.apply(base(), config("a", "b", "c").build()));

        assertThat(trained(LoRA.apply(base(), config("a", "b", "c").recompute("merge", "b").build()))).isEqualTo(expected);
    }

    /** DL4J does not run layers before it asks them for the loss. */
    @Test
    void doesNotEndWithALossOfAnyKind() {
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("in")
                .addLayer("a", new ConvolutionLayer.Builder(1, 1).nIn(2).nOut(3).build(), "in")
                .addLayer("b", new ConvolutionLayer.Builder(1, 1).nIn(3).nOut(6).build(), "a")
                .addLayer("yolo", new Yolo2OutputLayer.Builder().boundingBoxPriors(Nd4j.ones(1, 2)).build(), "b")
                .setOutputs("yolo").build());
        base.init();

        assertThatThrownBy(() -> LoRA.apply(base, LoRAConfig.builder().targets("b").recompute("a", "yolo").build()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("would compute the loss of layer \"yolo\" again");
    }

    /** A vertex of another branch is computed between those of the stretch. */
    @Test
    void isUsableAfterAnotherBranchHasFailed() {
        ComputationGraph again = LoRA.apply(base(), config("a", "b", "c", "branch").recompute("a", "c").build());
        INDArray before = again.output(data().getFeatures())[0].dup();
        Failing.fails = true;
        try {
            assertThatThrownBy(() -> again.fit(data())).hasStackTraceContaining("on demand");
        } finally {
            Failing.fails = false;
        }

        assertThat(again.output(data().getFeatures())[0]).isEqualTo(before);
        ComputationGraph copy = again.clone();
        assertThat(trained(again)).isEqualTo(trained(copy))
                .isEqualTo(trained(LoRA.apply(base(), config("a", "b", "c", "branch").build())));
    }

    /** DL4J's backward pass has the workspaces of passes that train nothing. */
    @ParameterizedTest
    @EnumSource(WorkspaceMode.class)
    void anAdaptedOutputLayerTrainsWithWhateverWorkspacesTrainingHas(WorkspaceMode training) {
        for (double dropout : new double[]{0, 0.5}) {
            LoRAConfig config = config("out").loraDropout(dropout).build();
            Nd4j.getRandom().setSeed(3);
            INDArray expected = trained(LoRA.apply(base(), config));
            Nd4j.getRandom().setSeed(3);

            assertThat(trained(LoRA.apply(base(training), config))).isEqualTo(expected);
        }
    }
}
