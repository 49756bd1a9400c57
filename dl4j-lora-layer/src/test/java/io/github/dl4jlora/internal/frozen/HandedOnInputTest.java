package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.frozen.FrozenBaseLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.dropout.AlphaDropout;
import org.deeplearning4j.nn.conf.dropout.Dropout;
import org.deeplearning4j.nn.conf.dropout.GaussianDropout;
import org.deeplearning4j.nn.conf.dropout.GaussianNoise;
import org.deeplearning4j.nn.conf.dropout.IDropout;
import org.deeplearning4j.nn.conf.dropout.SpatialDropout;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping2D;
import org.deeplearning4j.nn.conf.layers.util.MaskLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** DL4J lets a layer overwrite its input. A layer that freezing has left with nothing to do must not hand its own input on. */
@ExtendWith(DoublePrecision.class)
class HandedOnInputTest {

    private static final LayerWorkspaceMgr NONE = LayerWorkspaceMgr.noWorkspaces();
    private static final List<IDropout> DROPOUTS =
            List.of(new Dropout(0.9), new GaussianNoise(0.1), new GaussianDropout(0.1), new AlphaDropout(0.9));

    static Stream<Layer> layersThatDoNothing() {
        return Stream.concat(DROPOUTS.stream().map(dropout -> new DropoutLayer.Builder(dropout).build()), Stream.of(
                new DropoutLayer.Builder(new SpatialDropout(0.5)).build(),
                new ActivationLayer.Builder().activation(Activation.IDENTITY).build(),
                new MaskLayer(),
                new ZeroPaddingLayer.Builder(0, 0).build(),
                new Cropping2D.Builder(0, 0).build(),
                new Cropping2D.Builder(1, 1).build(),
                new Upsampling2D.Builder(1).build(),
                new SubsamplingLayer.Builder().kernelSize(1, 1).stride(1, 1).build(),
                new GlobalPoolingLayer.Builder().poolingDimensions(2, 3).collapseDimensions(false).build()));
    }

    @ParameterizedTest
    @MethodSource("layersThatDoNothing")
    void theNextLayerMayOverwriteWhatAFrozenLayerGivesIt(Layer stock) {
        INDArray input = Networks.random(DataType.DOUBLE, 1, 2, 3, 4, 4);
        INDArray before = input.dup();
        for (boolean stops : new boolean[] {false, true}) {
            NeuralNetConfiguration conf = new NeuralNetConfiguration();
            conf.setLayer(new FrozenBaseLayer(stock, stops, null));
            org.deeplearning4j.nn.api.Layer frozen = conf.getLayer().instantiate(conf, null, 0, null, false, DataType.DOUBLE);

            frozen.activate(input, true, NONE).assign(7);

            assertThat(input).isEqualTo(before);
        }
    }

    @Test
    void aMaskIsAppliedToTheOutputNotToTheInput() {
        INDArray input = Networks.random(DataType.DOUBLE, 1, 2, 3);
        INDArray before = input.dup();
        NeuralNetConfiguration conf = new NeuralNetConfiguration();
        conf.setLayer(new FrozenBaseLayer(new DropoutLayer.Builder(0.5).build(), true, null));
        org.deeplearning4j.nn.api.Layer frozen = conf.getLayer().instantiate(conf, null, 0, null, false, DataType.DOUBLE);

        for (boolean training : new boolean[] {true, false}) {
            frozen.setInput(input, NONE);
            frozen.setMaskArray(Nd4j.createFromArray(new double[][] {{1}, {0}}));
            INDArray output = frozen.activate(training, NONE);

            assertThat(output.getRow(0)).isEqualTo(before.getRow(0));
            assertThat(output.getRow(1).amaxNumber().doubleValue()).isZero();
            assertThat(input).isEqualTo(before);
        }
    }

    static Stream<Arguments> dropoutsInBothWorkspaceModes() {
        return DROPOUTS.stream().flatMap(dropout -> Stream.of(WorkspaceMode.ENABLED, WorkspaceMode.NONE)
                .map(mode -> arguments(dropout, mode)));
    }

    @ParameterizedTest
    @MethodSource("dropoutsInBothWorkspaceModes")
    void fittingLeavesTheCallersFeaturesAlone(IDropout dropout, WorkspaceMode mode) {
        INDArray features = Networks.random(DataType.DOUBLE, 1, 4, 3);
        INDArray labels = Networks.random(DataType.DOUBLE, 2, 4, 2);
        INDArray before = features.dup();
        MultiLayerNetwork layers = Networks.of(builder(mode).list()
                .layer(new DropoutLayer.Builder(dropout).build())
                .layer(dense(4).dropOut(0.5).name("x").build()).layer(output()).setInputType(InputType.feedForward(3)).build());
        ComputationGraph graph = layers.toComputationGraph();
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("x").build();
        MultiLayerNetwork tuned = LoRA.apply(layers, config);
        ComputationGraph tunedGraph = LoRA.apply(graph, LoRAConfig.builder().rank(2).targets("x|1").build());

        for (int i = 0; i < 3; i++) {
            tuned.fit(features, labels);
            tunedGraph.fit(new DataSet(features, labels));
        }

        assertThat(features).isEqualTo(before);
    }

    @ParameterizedTest
    @MethodSource("dropoutsInBothWorkspaceModes")
    void aSiblingOfWhatComesNextHasItsOwnActivationsAndGradient(IDropout dropout, WorkspaceMode mode) {
        ComputationGraph base = Networks.of(builder(mode).graphBuilder().addInputs("in")
                .addLayer("fc", dense(5).build(), "in")
                .addLayer("drop", new DropoutLayer.Builder(dropout).build(), "fc")
                .addLayer("x", dense(4).dropOut(0.5).build(), "drop")
                .addLayer("y", dense(4).build(), "fc")
                .addVertex("both", new MergeVertex(), "x", "y")
                .addLayer("out", output(), "both").setOutputs("out").setInputTypes(InputType.feedForward(3)).build());
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("x", "y").build());
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        MultiDataSet data = new MultiDataSet(Networks.random(DataType.DOUBLE, 1, 4, 3),
                Networks.random(DataType.DOUBLE, 2, 4, 2));

        pass(tuned, data);
        Map<String, INDArray> gradients = Gradients.copyOf(tuned.gradient());

        gradients.forEach((name, gradient) -> {
            INDArray parameter = tuned.getParam(name);
            INDArray start = parameter.dup();
            INDArray direction = Networks.random(DataType.DOUBLE, 5, start.shape()).muli(1e-5);
            parameter.assign(start.add(direction));
            double above = pass(tuned, data);
            parameter.assign(start.sub(direction));
            double below = pass(tuned, data);
            parameter.assign(start);
            double slope = gradient.mul(direction).sumNumber().doubleValue() / 4;
            assertThat(2 * slope).as(name).isCloseTo(above - below, within(1e-10));
        });
    }

    /** With the same elements dropped each time. */
    private static double pass(ComputationGraph network, MultiDataSet data) {
        Nd4j.getRandom().setSeed(11);
        return Gradients.pass(network, data);
    }

    private static NeuralNetConfiguration.Builder builder(WorkspaceMode mode) {
        return new NeuralNetConfiguration.Builder().seed(5).dataType(DataType.DOUBLE).trainingWorkspaceMode(mode)
                .updater(new Sgd(0.1)).activation(Activation.TANH);
    }

    private static DenseLayer.Builder dense(int nOut) {
        return new DenseLayer.Builder().nOut(nOut);
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).build();
    }
}
