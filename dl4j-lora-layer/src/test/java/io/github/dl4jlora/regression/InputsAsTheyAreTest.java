package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Words are not dropped, and keys do not meet the values of other examples. */
class InputsAsTheyAreTest {

    /** DL4J's embeddings have no dropout, though a network may set one for all layers. */
    @Test
    void wordsAreLookedUpWhateverTheNetworksDropout() {
        FeedForwardLayer one = new EmbeddingLayer.Builder().name("words").nIn(50).nOut(4).build();
        FeedForwardLayer several = new EmbeddingSequenceLayer.Builder().name("words").nIn(50).nOut(4).build();
        for (FeedForwardLayer words : List.of(one, several)) {
            boolean isSequence = words == several;
            MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).dropOut(0.5)
                    .updater(new Sgd(0.1)).list().layer(words)
                    .layer(isSequence ? new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2)
                            .dataFormat(RNNFormat.NCW).activation(Activation.IDENTITY).build()
                            : new OutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY).build())
                    .build());
            MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("words").build());
            INDArray ids = Nd4j.valueArrayOf(isSequence ? new long[] {8, 3} : new long[] {8, 1}, 40f);

            assertThat(tuned.feedForwardToLayer(0, ids, true).get(1)).isEqualTo(base.feedForwardToLayer(0, ids, true).get(1));
            tuned.fit(ids, isSequence ? Nd4j.zeros(8, 2, 3) : Nd4j.zeros(8, 2));
        }
    }

    @Test
    void anAttentionVertexNeedsAValueForEachKey() {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .graphBuilder().addInputs("queries", "keys", "values")
                .addVertex("attention", new AttentionVertex.Builder().nInQueries(4).nInKeys(4).nInValues(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "queries", "keys", "values")
                .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).activation(Activation.IDENTITY).build(),
                        "attention").setOutputs("out")
                .setInputTypes(InputType.recurrent(4), InputType.recurrent(4), InputType.recurrent(4)).build());
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("attention", "out").build());
        INDArray queries = Networks.random(DataType.FLOAT, 1, 2, 4, 6);
        INDArray keys = Networks.random(DataType.FLOAT, 2, 2, 4, 5);

        assertThat(Networks.difference(tuned.outputSingle(queries, keys, keys), base.outputSingle(queries, keys, keys)))
                .isLessThan(1e-5);
        for (int values : new int[] {3, 7}) {
            assertThatThrownBy(() -> tuned.outputSingle(queries, keys, Networks.random(DataType.FLOAT, 3, 2, 4, values)))
                    .isInstanceOf(DL4JInvalidInputException.class)
                    .hasMessageContaining("Keys have 5 steps, but values " + values).hasMessageContaining("attention");
        }
    }
}
