package io.github.dl4jlora.regression;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.dropout.AlphaDropout;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.dropout.GaussianDropout;
import org.deeplearning4j.nn.conf.dropout.GaussianNoise;
import org.deeplearning4j.nn.conf.dropout.IDropout;
import org.deeplearning4j.nn.conf.dropout.SpatialDropout;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Frozen, a layer that only makes noise hands on what it was given: as an array of its own, in every mode. */
@ExtendWith(DoublePrecision.class)
class FrozenNoiseTest {

    /** Noise as a layer of its own. */
    enum Noise {
        DROPOUT(new Dropout(0.8)), GAUSSIAN_NOISE(new GaussianNoise(0.1)), ALPHA_DROPOUT(new AlphaDropout(0.9)),
        GAUSSIAN_DROPOUT(new GaussianDropout(0.2)), NONE(new Dropout(1.0));

        private final IDropout dropout;

        Noise(IDropout dropout) {
            this.dropout = dropout;
        }

        Layer layer() {
            return new DropoutLayer.Builder(dropout.clone()).name("noise").build();
        }
    }

    /** What stands on the noise, and what goes through it. */
    enum Above {
        DENSE(InputType.feedForward(3), 2, 3), SEQUENCE(InputType.recurrent(3, 5), 2, 3, 5),
        IMAGE(InputType.convolutional(4, 4, 3), 2, 3, 4, 4);

        private final InputType input;
        private final long[] shape;

        Above(InputType input, long... shape) {
            this.input = input;
            this.shape = shape;
        }

        /** @param dropOut what DL4J applies to the layer's input, in place; 0 for none */
        Layer layer(double dropOut) {
            return switch (this) {
                case DENSE -> new DenseLayer.Builder().nOut(4).dropOut(dropOut).name("x").build();
                case SEQUENCE -> new LSTM.Builder().nOut(4).dropOut(dropOut).name("x").build();
                case IMAGE -> new ConvolutionLayer.Builder(2, 2).nOut(4).dropOut(dropOut).name("x").build();
            };
        }

        Layer head() {
            return this == SEQUENCE ? Stacks.sequenceHead() : Stacks.head();
        }

        DataSet data() {
            long[] labels = this == SEQUENCE ? new long[]{2, 2, 5} : new long[]{2, 2};
            return new DataSet(Networks.random(DataType.DOUBLE, 1, shape), Networks.random(DataType.DOUBLE, 2, labels));
        }

        MultiDataSet multiData() {
            return new MultiDataSet(data().getFeatures(), data().getLabels());
        }
    }

    private static final LoRAConfig CONFIG = LoRAConfig.builder().rank(2).targets("x").updater(new Sgd(0.1)).build();

    private static Stream<Arguments> noises() {
        return Stream.of(Noise.values()).flatMap(noise -> modes().map(mode -> Arguments.of(noise, mode.get()[0], mode.get()[1])));
    }

    private static Stream<Arguments> modes() {
        return Stream.of(true, false).flatMap(graph -> Stream.of(WorkspaceMode.ENABLED, WorkspaceMode.NONE)
                .map(workspaces -> Arguments.of(graph, workspaces)));
    }

    private static Stream<Arguments> kinds() {
        return Stream.of(Above.values()).flatMap(above -> modes().map(mode -> Arguments.of(above, mode.get()[0], mode.get()[1])));
    }

    @ParameterizedTest(name = "{0}, graph {1}, workspaces {2}")
    @MethodSource("noises")
    void networkThatBeginsWithFrozenNoiseTrains(Noise noise, boolean graph, WorkspaceMode workspaces) {
        Model tuned = Models.apply(Stacks.of(graph, workspaces, DataType.DOUBLE, InputType.feedForward(3),
                noise.layer(), Above.DENSE.layer(0), Stacks.head()), CONFIG);

        assertTrains(tuned, Above.DENSE.data());
        Stacks.assertGradientsAreSlopes(tuned, Above.DENSE.multiData());
    }

    @ParameterizedTest(name = "{0}, graph {1}, workspaces {2}")
    @MethodSource("noises")
    void frozenNoiseBetweenLayersPassesGradientsOn(Noise noise, boolean graph, WorkspaceMode workspaces) {
        Model base = Stacks.of(graph, workspaces, DataType.DOUBLE, InputType.feedForward(3),
                new DenseLayer.Builder().nOut(3).name("below").build(), noise.layer(), Above.DENSE.layer(0), Stacks.head());

        for (String target : List.of("x", "below")) {
            Model tuned = Models.apply(base, LoRAConfig.builder().rank(2).targets(target).updater(new Sgd(0.1)).build());
            assertTrains(tuned, Above.DENSE.data());
            Stacks.assertGradientsAreSlopes(tuned, Above.DENSE.multiData());
        }
    }

    @ParameterizedTest(name = "{0}, graph {1}, workspaces {2}")
    @MethodSource("kinds")
    void layersOfOtherKindsTrainOnFrozenNoise(Above above, boolean graph, WorkspaceMode workspaces) {
        Model tuned = Models.apply(Stacks.of(graph, workspaces, DataType.DOUBLE, above.input, Noise.DROPOUT.layer(),
                above.layer(0), above.head()), CONFIG);

        assertTrains(tuned, above.data());
        Stacks.assertGradientsAreSlopes(tuned, above.multiData());
    }

    @ParameterizedTest(name = "{0}, graph {1}, workspaces {2}")
    @MethodSource("kinds")
    void trainingFeaturesStayAsTheCallerGaveThem(Above above, boolean graph, WorkspaceMode workspaces) {
        Model tuned = Models.apply(Stacks.of(graph, workspaces, DataType.DOUBLE, above.input, Noise.DROPOUT.layer(),
                above.layer(0.5), above.head()), CONFIG);
        DataSet data = above.data();

        for (int i = 0; i < 3; i++) {
            Models.fit(tuned, data);
        }

        assertThat(data.getFeatures()).isEqualTo(above.data().getFeatures());
    }

    @ParameterizedTest
    @EnumSource(value = WorkspaceMode.class, names = {"ENABLED", "NONE"})
    void spatialDropoutFrozenAboveAnImageLeavesItAlone(WorkspaceMode workspaces) {
        Layer spatial = new DropoutLayer.Builder(new SpatialDropout(0.5)).name("noise").build();
        Model tuned = Models.apply(Stacks.of(false, workspaces, DataType.DOUBLE, Above.IMAGE.input, spatial, Above.IMAGE.layer(0),
                Stacks.head()), CONFIG);

        assertTrains(tuned, Above.IMAGE.data());
    }

    @Test
    void siblingOfFrozenNoiseSeesWhatTheLayerBelowComputed() {
        ComputationGraph tuned = siblings();
        INDArray input = Networks.random(DataType.DOUBLE, 1, 4, 3);
        Map<String, INDArray> inference = tuned.feedForward(input, false);
        INDArray fc = inference.get("fc").dup();
        INDArray sibling = inference.get("sibling").dup();

        Map<String, INDArray> training = tuned.feedForward(input, true);

        assertThat(training.get("fc")).isEqualTo(fc);
        assertThat(training.get("sibling")).isEqualTo(sibling);
    }

    @Test
    void siblingOfFrozenNoiseHasTheRightGradient() {
        ComputationGraph tuned = siblings();
        Networks.randomizeAdapters(tuned.paramTable(), 3);

        Stacks.assertGradientsAreSlopes(tuned, Stacks.data(DataType.DOUBLE, new long[]{4, 3}, new long[]{4, 2}));
    }

    /** fc → noise → x, which drops out its input, and fc → sibling. */
    private static ComputationGraph siblings() {
        ComputationGraphConfiguration.GraphBuilder builder = Stacks.common(DataType.DOUBLE).graphBuilder().addInputs("in")
                .addLayer("fc", new DenseLayer.Builder().nOut(5).build(), "in")
                .addLayer("noise", Noise.DROPOUT.layer(), "fc")
                .addLayer("x", Above.DENSE.layer(0.5), "noise")
                .addLayer("sibling", new DenseLayer.Builder().nOut(4).build(), "fc")
                .addVertex("both", new MergeVertex(), "x", "sibling")
                .addLayer("out", Stacks.head(), "both").setOutputs("out").setInputTypes(InputType.feedForward(3));
        return LoRA.apply(Networks.of(builder.build()),
                LoRAConfig.builder().rank(2).targets("x", "sibling").updater(new Sgd(0.1)).build());
    }

    private static void assertTrains(Model tuned, DataSet data) {
        INDArray before = data.getFeatures().dup();
        INDArray start = tuned.params().dup();
        Models.fit(tuned, data);
        Models.fit(tuned, data);
        assertThat(tuned.params()).isNotEqualTo(start);
        assertThat(data.getFeatures()).isEqualTo(before);
        Networks.randomizeAdapters(tuned.paramTable(), 3);
    }
}
