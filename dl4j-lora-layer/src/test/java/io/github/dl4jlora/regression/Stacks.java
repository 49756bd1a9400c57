package io.github.dl4jlora.regression;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** One layer upon another, as either network type, and what such networks must hold. */
final class Stacks {

    private static final double STEP = 1e-5;

    private Stacks() {
    }

    /** Initialised; plain gradient descent and tanh where a layer does not say otherwise. Every layer needs a name. */
    static Model of(boolean graph, DataType type, InputType input, Layer... layers) {
        return of(graph, WorkspaceMode.ENABLED, type, input, layers);
    }

    static Model of(boolean graph, WorkspaceMode workspaces, DataType type, InputType input, Layer... layers) {
        NeuralNetConfiguration.Builder common = common(type).trainingWorkspaceMode(workspaces).inferenceWorkspaceMode(workspaces);
        return graph ? graph(common, input, layers) : Networks.of(common.list(layers).setInputType(input).build());
    }

    static NeuralNetConfiguration.Builder common(DataType type) {
        return new NeuralNetConfiguration.Builder().seed(5).dataType(type).updater(new Sgd(0.1)).activation(Activation.TANH);
    }

    private static ComputationGraph graph(NeuralNetConfiguration.Builder common, InputType input, Layer... layers) {
        ComputationGraphConfiguration.GraphBuilder builder = common.graphBuilder().addInputs("in");
        String below = "in";
        for (Layer layer : layers) {
            builder.addLayer(layer.getLayerName(), layer, below);
            below = layer.getLayerName();
        }
        return Networks.of(builder.setOutputs(below).setInputTypes(input).build());
    }

    /** A head of two outputs, named "out", with a loss without kinks. */
    static Layer head() {
        return new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).name("out").build();
    }

    /** As {@link #head()}, for sequences. */
    static Layer sequenceHead() {
        return new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).name("out").build();
    }

    /** With the same random numbers in every pass, so that noise is part of the function. */
    static double pass(Model network, MultiDataSet data, long seed) {
        Nd4j.getRandom().setSeed(seed);
        return Gradients.pass(network, data);
    }

    /**
     * The loss's slope along the gradient is the gradient's length, for each trained array by itself, under the same
     * random numbers in every pass. A gradient of the wrong size cannot pass, nor one of another noise.
     */
    static void assertGradientsAreSlopes(Model network, MultiDataSet data) {
        pass(network, data, 11);
        Gradients.copyOf(network.gradient()).forEach((name, sum) -> {
            INDArray gradient = sum.div(data.getFeatures(0).size(0));
            double length = gradient.norm2Number().doubleValue();
            assertThat(length).as("length of the gradient of %s", name).isGreaterThan(1e-6);
            INDArray value = network.paramTable().get(name);
            INDArray start = value.dup();
            INDArray step = gradient.div(length).muli(STEP).reshape(value.shape());
            value.assign(start.add(step));
            double above = pass(network, data, 11);
            value.assign(start.sub(step));
            double below = pass(network, data, 11);
            value.assign(start);
            assertThat(length).as("length of the gradient of %s against the slope of the loss", name)
                    .isCloseTo((above - below) / (2 * STEP), within(1e-8 + 1e-5 * length));
        });
    }

    static MultiDataSet data(DataType type, long[] features, long[] labels) {
        return new MultiDataSet(Networks.random(type, 1, features), Networks.random(type, 2, labels));
    }
}
