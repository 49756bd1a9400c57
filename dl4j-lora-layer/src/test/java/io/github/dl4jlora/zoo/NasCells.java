package io.github.dl4jlora.zoo;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.zoo.model.helper.NASNetHelper;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.AdaDelta;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/**
 * A network of NASNet-A's normal cells (Zoph et al. 2018, arXiv:1707.07012, figure 4), whose separable convolutions are
 * those of the zoo's helper.
 */
final class NasCells {

    private final GraphBuilder graph;

    private NasCells(GraphBuilder graph) {
        this.graph = graph;
    }

    static ComputationGraph network(int[] shape, int classes) {
        GraphBuilder graph = new NeuralNetConfiguration.Builder().seed(1234).updater(new AdaDelta()).weightInit(WeightInit.RELU)
                .convolutionMode(ConvolutionMode.Same).graphBuilder().addInputs("input")
                .setInputTypes(InputType.convolutional(shape[2], shape[1], shape[0]))
                .addLayer("stem_conv", new ConvolutionLayer.Builder(3, 3).nOut(24).hasBias(false).build(), "input")
                .addLayer("stem_bn", new BatchNormalization.Builder().eps(1e-3).build(), "stem_conv");
        NasCells cells = new NasCells(graph);
        String first = cells.normal("cell1", 24, "stem_bn", "stem_bn");
        String second = cells.normal("cell2", 24, first, "stem_bn");
        graph.addLayer("pool", pooling(SubsamplingLayer.PoolingType.MAX, 2, 2), second);
        graph.addLayer("avg_pool", new GlobalPoolingLayer.Builder(PoolingType.AVG)
                .build(), cells.normal("cell3", 48, "pool", "pool"))
                .addLayer("output", new OutputLayer.Builder(LossFunction.MCXENT).nOut(classes)
                        .activation(Activation.SOFTMAX).build(), "avg_pool")
                .setOutputs("output");
        return Networks.of(graph.build());
    }

    /** Of the cell before and the one before that, each squeezed to the number of filters. */
    private String normal(String cell, int filters, String last, String lastButOne) {
        String h = squeezed(cell + "_h", filters, last);
        String p = squeezed(cell + "_p", filters, lastButOne);
        sum(cell + "_add1", separable(cell + "_left1", filters, 3, h), h);
        sum(cell + "_add2", separable(cell + "_left2", filters, 3, p), separable(cell + "_right2", filters, 5, h));
        sum(cell + "_add3", average(cell + "_left3", h), p);
        sum(cell + "_add4", average(cell + "_left4", p), average(cell + "_right4", p));
        sum(cell + "_add5", separable(cell + "_left5", filters, 5, p), separable(cell + "_right5", filters, 3, p));
        graph.addVertex(cell, new MergeVertex(), p, cell + "_add1", cell + "_add2", cell + "_add3", cell + "_add4",
                cell + "_add5");
        return cell;
    }

    private String squeezed(String name, int filters, String input) {
        graph.addLayer(name + "_relu", new ActivationLayer(Activation.RELU), input)
                .addLayer(name + "_conv", new ConvolutionLayer.Builder(1, 1).nOut(filters).hasBias(false).build(), name + "_relu")
                .addLayer(name, new BatchNormalization.Builder().eps(1e-3).build(), name + "_conv");
        return name;
    }

    private String separable(String name, int filters, int size, String input) {
        return NASNetHelper.sepConvBlock(graph, filters, size, 1, name, input);
    }

    private String average(String name, String input) {
        graph.addLayer(name, pooling(SubsamplingLayer.PoolingType.AVG, 3, 1), input);
        return name;
    }

    private static SubsamplingLayer pooling(SubsamplingLayer.PoolingType type, int size, int stride) {
        return new SubsamplingLayer.Builder(type, new int[] {size, size}, new int[] {stride, stride}).build();
    }

    private void sum(String name, String left, String right) {
        graph.addVertex(name, new ElementWiseVertex(ElementWiseVertex.Op.Add), left, right);
    }
}
