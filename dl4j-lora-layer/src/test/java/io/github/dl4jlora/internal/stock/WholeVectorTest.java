package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.impl.LayerVertex;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** Vectors of another length than the network's are told from those of the right one. */
class WholeVectorTest {

    @ParameterizedTest
    @ValueSource(ints = {-1, 1})
    void aLayerOfAChainRefusesItsPartOfAVectorOfAnotherLength(int difference) {
        MultiLayerNetwork network = Networks.trainedLayers();
        Layer[] layers = network.getLayers();
        layers[0] = new FrozenLayer(checking(layers[0]));
        network.setLayers(layers);
        double[] before = Models.params(network);
        INDArray wrong = Nd4j.ones(DataType.FLOAT, 1, network.numParams() + difference);

        assertThatIllegalArgumentException().isThrownBy(() -> network.setParams(wrong))
                .withMessageContainingAll("(layer \"fc1\")", "network.params().length()");
        assertThat(Models.params(network)).containsExactly(before);
        network.setParams(Nd4j.ones(DataType.FLOAT, 1, network.numParams()));
        assertThat(Models.params(network)).containsOnly(1);
        layers[0].setParams(Nd4j.zeros(DataType.FLOAT, layers[0].numParams()));
        assertThat(layers[0].params().sumNumber().doubleValue()).as("set by somebody else").isZero();
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 1})
    void aLayerOfAGraphRefusesItToo(int difference) {
        ComputationGraph network = Networks.trainedGraph();
        LayerVertex vertex = (LayerVertex) network.getVertex("fc1");
        network.getVertices()[1] = new LayerVertex(network, "fc1", 1, null, null,
                checking(vertex.getLayer()), null, false, DataType.FLOAT);
        double[] before = Models.params(network);
        INDArray wrong = Nd4j.ones(DataType.FLOAT, 1, network.numParams() + difference);

        assertThatIllegalArgumentException().isThrownBy(() -> network.setParams(wrong)).withMessageContaining("(layer \"fc1\")");
        assertThat(Models.params(network)).containsExactly(before);
    }

    private static Layer checking(Layer layer) {
        return (Layer) Proxy.newProxyInstance(WholeVectorTest.class.getClassLoader(), new Class<?>[]{Layer.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("setParams")) {
                        WholeVector.refuseOtherLength("fc1");
                    }
                    try {
                        return method.invoke(layer, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}
