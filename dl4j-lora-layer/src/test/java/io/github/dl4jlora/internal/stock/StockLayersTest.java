package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.L2Vertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLambdaVertex;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.shade.jackson.core.JsonProcessingException;

import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

class StockLayersTest {

    /** A user's vertex, which inherits its clone(). */
    public static final class Times extends SameDiffLambdaVertex {

        public double factor = 1;

        @Override
        public SDVariable defineVertex(SameDiff sameDiff, VertexInputs inputs) {
            return inputs.getInput(0).mul(factor);
        }
    }

    /** Of all of these DL4J's clone() forgets something. */
    static Stream<GraphVertex> vertices() {
        MergeVertex merge = new MergeVertex();
        merge.setMergeAxis(3);
        AttentionVertex attention = new AttentionVertex.Builder().nInKeys(2).nInQueries(2).nInValues(2).nOut(2).nHeads(1)
                .projectInput(true).build();
        attention.setUpdater(new Adam(0.5));
        Times lambda = new Times();
        lambda.factor = 2;
        lambda.setDataType(DataType.DOUBLE);
        return Stream.of(merge, lambda, new L2Vertex(0.5), new ReshapeVertex('f', new int[]{-1, 4}, new int[]{-1, 1}), attention,
                new FrozenVertex(new L2Vertex(0.5)));
    }

    @ParameterizedTest
    @MethodSource("vertices")
    void aCopyOfAVertexIsWhole(GraphVertex vertex) throws JsonProcessingException {
        assertThat(json(StockLayers.copy(vertex))).isEqualTo(json(vertex));
    }

    private static String json(GraphVertex vertex) throws JsonProcessingException {
        return NeuralNetConfiguration.mapper().writeValueAsString(vertex);
    }

    @Test
    void freezingWrappersGoAtEveryDepth() {
        LSTM lstm = new LSTM.Builder().nIn(2).nOut(2).build();
        Layer frozen = new FrozenLayer(new MaskZeroLayer(
                new FrozenLayerWithBackprop(new LastTimeStep(new FrozenLayer(lstm))), 0));

        assertThat(StockLayers.unfrozen(frozen)).isEqualTo(new MaskZeroLayer(new LastTimeStep(lstm), 0));
    }

    @Test
    void stateIsShownThroughOneWrapper() {
        LSTM lstm = new LSTM.Builder().nIn(2).nOut(2).build();

        assertThat(Stream.of(lstm, new FrozenLayer(lstm), new MaskZeroLayer(lstm, 0))).allMatch(StockLayers::showsState);
        assertThat(Stream.of(new FrozenLayer(new MaskZeroLayer(lstm, 0)), new MaskZeroLayer(new FrozenLayer(lstm), 0),
                new FrozenLayer(new FrozenLayer(lstm)))).noneMatch(StockLayers::showsState);
    }
}
