package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.impl.LayerVertex;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Both kinds of network call their layers' backward passes as {@link BackpropCaller} expects. */
class BackpropCallerTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 8, 3);

    @Test
    void stepOfAChainIsToldFromCallersWhoAreGivenTheGradient() {
        MultiLayerNetwork network = Networks.trainedLayers();
        Asking first = new Asking(network.getLayer(0));
        network.getLayers()[0] = first;

        network.fit(DATA);
        network.calculateGradients(DATA.getFeatures(), DATA.getLabels(), null, null);
        first.backpropGradient(Networks.random(DataType.FLOAT, 1, 8, Networks.HIDDEN), LayerWorkspaceMgr.noWorkspaces());

        assertThat(first.steps).containsExactly(true, false, false);
    }

    @Test
    void stepOfAGraphIsToldFromErrorsThatComeFromElsewhere() {
        ComputationGraph network = Networks.trainedGraph();
        LayerVertex vertex = (LayerVertex) network.getVertex("fc1");
        Asking first = new Asking(vertex.getLayer());
        LayerVertex asking = new LayerVertex(network, "fc1", vertex.getVertexIndex(), vertex.getInputVertices(),
                vertex.getOutputVertices(), first, null, false, DataType.FLOAT);
        network.getVertices()[vertex.getVertexIndex()] = asking;

        network.fit(DATA);
        asking.setInput(0, DATA.getFeatures(), LayerWorkspaceMgr.noWorkspaces());
        asking.doForward(true, LayerWorkspaceMgr.noWorkspaces());
        asking.setEpsilon(Networks.random(DataType.FLOAT, 1, 8, Networks.HIDDEN));
        asking.doBackward(false, LayerWorkspaceMgr.noWorkspaces());

        assertThat(first.steps).containsExactly(true, false);
    }

    /** Notes in each backward pass who calls. */
    private static final class Asking extends BaseWrapperLayer {

        private final List<Boolean> steps = new ArrayList<>();

        Asking(Layer layer) {
            super(layer);
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
            steps.add(BackpropCaller.isTrainingStep());
            return underlying.backpropGradient(epsilon, workspaces);
        }
    }
}
