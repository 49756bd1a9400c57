package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.samediff.SDVertexParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** The configuration's updater is that of everything that trains. */
class VertexUpdaterTest {

    /** x · w + b, number by number. */
    public static final class Shift extends SameDiffVertex {

        @Override
        public void defineParametersAndInputs(SDVertexParams params) {
            params.defineInputs("x");
            params.addWeightParam("w", 1, 4);
            params.addBiasParam("b", 1, 4);
        }

        @Override
        public SDVariable defineVertex(SameDiff sameDiff, Map<String, SDVariable> inputs, Map<String, SDVariable> params,
                Map<String, SDVariable> masks) {
            return inputs.get("x").mul(params.get("w")).add(params.get("b"));
        }

        @Override
        public void initializeParameters(Map<String, INDArray> params) {
            params.get("w").assign(1);
            params.get("b").assign(0);
        }

        @Override
        public Shift clone() {
            return new Shift();
        }
    }

    @Test
    void biasesOfAVertexThatTrainsInFullHaveItToo() {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(1))
                .biasUpdater(new Sgd(1)).graphBuilder().addInputs("x")
                .addLayer("fc", new DenseLayer.Builder().nIn(3).nOut(4).build(), "x")
                .addVertex("shift", new Shift(), "fc")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY).build(),
                        "shift").setOutputs("out").build());
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("shift").updater(new Sgd(1e-6)).build());
        tuned.fit(new DataSet(Networks.random(DataType.FLOAT, 1, 5, 3), Networks.random(DataType.FLOAT, 2, 5, 2)));

        Map<String, INDArray> shift = tuned.getVertex("shift").paramTable(false);
        assertThat(shift.get("b").amaxNumber().doubleValue()).isBetween(1e-12, 1e-4);
        assertThat(shift.get("w").sub(1).amaxNumber().doubleValue()).isBetween(0.0, 1e-4);
    }
}
