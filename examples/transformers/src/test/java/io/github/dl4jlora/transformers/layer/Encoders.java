package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.Transformer;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Tiny encoders with random weights under a classifier, and something for them to read. */
final class Encoders {

    static final TransformerShape TINY = TransformerShape.bert(11, 7, 6, 8, 2, 2);
    static final int CLASSES = 3;

    private Encoders() {
    }

    static ComputationGraph tiny(DataType type, IUpdater updater) {
        GraphBuilder configuration = new NeuralNetConfiguration.Builder().seed(3).dataType(type).updater(updater).graphBuilder();
        Transformer.addTo(configuration, TINY, Head.meanPooling()).addLayer("classifier", new OutputLayer.Builder(LossFunction.MCXENT)
                .nIn(TINY.hidden())
                .nOut(CLASSES).activation(Activation.SOFTMAX).build(), Transformer.POOLING).setOutputs("classifier");
        ComputationGraph graph = new ComputationGraph(configuration.build());
        graph.init();
        // Embeddings start at a scale where layer normalisation makes most of their differences; spread everything out.
        graph.params().addi(Nd4j.randn(type, graph.params().shape()).muli(0.3));
        return graph;
    }

    /** Three texts of 5, 3 and 1 tokens; the second has token 0 in its midst, the third is the least there is. */
    static INDArray ids(DataType type) {
        return Nd4j.createFromArray(new double[][]{{1, 9, 4, 9, 2}, {3, 0, 2, 0, 0}, {8, 0, 0, 0, 0}}).castTo(type);
    }

    static INDArray labels(DataType type) {
        return Nd4j.eye(CLASSES).castTo(type);
    }
}
