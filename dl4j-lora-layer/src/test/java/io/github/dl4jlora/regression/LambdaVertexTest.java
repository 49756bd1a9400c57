package io.github.dl4jlora.regression;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLambdaVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** A user's vertex without parameters of which DL4J's own clone() makes a new one. */
class LambdaVertexTest {

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).targets("below", "above").build();
    private static final INDArray INPUT = Networks.random(DataType.FLOAT, 5, 3, 4);
    private static final DataSet DATA = new DataSet(INPUT, Networks.random(DataType.FLOAT, 6, 3, 2));

    /** factor · x + summand */
    public static class Affine extends SameDiffLambdaVertex {

        public double factor = 1;
        private double summand;

        public Affine() {
        }

        Affine(double factor, double summand) {
            this.factor = factor;
            this.summand = summand;
        }

        public double getSummand() {
            return summand;
        }

        public void setSummand(double summand) {
            this.summand = summand;
        }

        @Override
        public SDVariable defineVertex(SameDiff sameDiff, VertexInputs inputs) {
            return inputs.getInput(0).mul(factor).add(summand);
        }
    }

    /** Keeps its values by itself. */
    public static final class Cloned extends Affine {

        public Cloned() {
        }

        Cloned(double factor, double summand) {
            super(factor, summand);
        }

        @Override
        public Cloned clone() {
            return new Cloned(factor, getSummand());
        }
    }

    private static ComputationGraph graph(Affine vertex) {
        return graph(vertex, WorkspaceMode.ENABLED);
    }

    private static ComputationGraph graph(Affine vertex, WorkspaceMode mode) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .trainingWorkspaceMode(mode).inferenceWorkspaceMode(mode).graphBuilder().addInputs("x")
                .addLayer("below", new DenseLayer.Builder().nIn(4).nOut(3).build(), "x")
                .addVertex("affine", vertex, "below").addLayer("above", new DenseLayer.Builder().nIn(3).nOut(3).build(), "affine")
                .addLayer("out", new OutputLayer.Builder().nIn(3).nOut(2).build(), "above").setOutputs("out").build());
    }

    @Test
    void keepsItsFieldsInEveryNetworkThatIsMadeOfTheBase(@TempDir Path folder) throws IOException {
        ComputationGraph base = graph(new Affine(3, 0.5));
        INDArray expected = base.outputSingle(INPUT);
        ComputationGraph tuned = LoRA.apply(base, CONFIG);
        Path file = folder.resolve("tuned.zip");
        LoRA.save(tuned, file, false);

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(expected);
        assertThat(LoRA.freeze(base).outputSingle(INPUT)).isEqualTo(expected);
        assertThat(LoRA.apply(base, CONFIG.toBuilder().targets("above").build()).clone().outputSingle(INPUT)).isEqualTo(expected);
        assertThat(((ComputationGraph) LoRA.load(file)).outputSingle(INPUT)).isEqualTo(expected);
        assertThat(LoRA.merge(tuned).outputSingle(INPUT)).isEqualTo(expected);
        assertThat(LoRA.unload(tuned).outputSingle(INPUT)).isEqualTo(expected);
    }

    @Test
    void keepsItsFieldsInNetworksOfASource() throws IOException {
        ComputationGraph base = graph(new Affine(3, 0.5));
        BaseSource<ComputationGraph> source = BaseSource.of(base.getConfiguration(), (layer, values) ->
                values.forEach((key, value) -> value.assign(base.getParam(layer + "_" + key))));

        assertThat(source.network().outputSingle(INPUT)).isEqualTo(base.outputSingle(INPUT));
    }

    /** DL4J's own network has the factor of the gradient in memory that the second step uses for other things. */
    @Test
    void isTrainedThroughTheSameInWorkspaces() {
        ComputationGraph inWorkspaces = LoRA.apply(graph(new Affine(3, 0.5)), CONFIG);
        ComputationGraph outside = LoRA.apply(graph(new Affine(3, 0.5), WorkspaceMode.NONE), CONFIG);

        for (int step = 0; step < 5; step++) {
            inWorkspaces.fit(DATA);
            outside.fit(DATA);
        }

        assertThat(inWorkspaces.params()).isEqualTo(outside.params());
    }

    @Test
    void isAskedForItsCloneWhereItHasOneOfItsOwn() {
        ComputationGraph base = graph(new Cloned(3, 0.5));

        ComputationGraph tuned = LoRA.apply(base, CONFIG.toBuilder().targets("below").build());

        assertThat(tuned.outputSingle(INPUT)).isEqualTo(base.outputSingle(INPUT));
    }
}
