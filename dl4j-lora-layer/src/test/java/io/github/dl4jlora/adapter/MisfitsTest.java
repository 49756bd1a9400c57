package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** An adapter and a network that do not belong together: what is said names both, and advice that can be followed. */
class MisfitsTest {

    private static MultiLayerNetwork lstm() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).list()
                .layer(new LSTM.Builder().name("lstm").nIn(4).nOut(5).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nIn(5).nOut(2).build()).build());
    }

    private static MultiLayerNetwork images() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).list()
                .layer(new ConvolutionLayer.Builder(3, 3).name("conv").nOut(4).build())
                .layer(new BatchNormalization.Builder().name("bn").build())
                .layer(new DenseLayer.Builder().name("fc").nOut(5).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(2).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(8, 8, 1)).build());
    }

    private static void refused(ThrowingCallable call, String... parts) {
        assertThatIllegalArgumentException().isThrownBy(call).withMessageContainingAll(parts)
                .matches(e -> !e.getMessage().contains("\\Q"), "no quoted patterns");
    }

    @Test
    void anLstmsAdapterOnAConvolutionalNetworkSaysWhatEachOfThemHas() {
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(lstm(), LoRAConfig.builder().rank(2).targets("lstm").trainable("out")
                .build()));
        MultiLayerNetwork base = images();
        String[] both = {"The adapter is for another network", "adapts [lstm.W, lstm.RW] and trains [out] in full",
            "no layer for [lstm.W, lstm.RW]", "its layers are [conv, bn, fc, out]", "keyMapper"};

        refused(() -> LoRA.apply(base, adapter), both);
        try (AdapterBank bank = new AdapterBank(base)) {
            LoRAAdapter plain = LoRAAdapter.of(LoRA.apply(lstm(), LoRAConfig.builder().rank(2).targets("lstm").build()));
            refused(() -> bank.add("lstm", plain), "The adapter is for another network", "[lstm.W, lstm.RW]");
        }
        refused(() -> LoRA.apply(base, adapter.config()), "targets(\"lstm.W\") matches no layer");
    }

    @Test
    void aLayerOfThatNameThatCannotBeAdaptedIsNoLayerForIt() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).list()
                .layer(new DenseLayer.Builder().name("bn").nIn(4).nOut(5).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("head").nIn(5).nOut(2).build()).build());
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("head").build()));

        refused(() -> LoRA.apply(images(), adapter), "no layer for [bn, head]");
    }

    /** The advice is an expression that compiles, wherever the refusal comes from. */
    @Test
    void whoWantsItOnAnotherBaseIsToldHow() {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph other = base.clone();
        other.params().muli(1.1);
        LoRAAdapter adapter = Adapters.on(base, LoRAConfig.builder().rank(2), 3);
        String advice = "LoRA.apply(base, adapter, ApplyOption.FORCE)";

        refused(() -> LoRA.apply(other, adapter), "\"fc1\"", "made for the base weights", advice);
        refused(() -> adapter.applyTo(LoRA.apply(other, adapter.config())), "\"fc1\"", advice);
        adapter.applyTo(LoRA.apply(other, adapter.config()), LoRAAdapter.ApplyOption.FORCE);
    }

    @Test
    void aBaseOfAnotherDataTypeIsNamed() {
        LoRAAdapter adapter = Adapters.on(Networks.trainedGraph(), LoRAConfig.builder().rank(2), 3);
        ComputationGraph other = Networks.trainedGraph().convertDataType(DataType.DOUBLE);

        refused(() -> LoRA.apply(other, adapter), "\"fc1\"", "the adapter is FLOAT, the network DOUBLE");
    }

    /** Half precision ends at 65504. */
    @ParameterizedTest
    @ValueSource(doubles = {70000, -1e30})
    void valuesThatTheNetworksDataTypeCannotHoldAreNamedWithBothTypes(double large) {
        ComputationGraph base = Networks.trainedGraph(DataType.FLOAT, new Sgd(0.1));
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).bias("lora_only").trainable("out").build());
        for (String key : List.of("fc1_A", "fc2_b", "out_W")) {
            INDArray whole = tuned.params().dup();
            tuned.getParam(key).putScalar(3, large);
            LoRAAdapter adapter = LoRAAdapter.of(tuned);
            tuned.setParams(whole);
            ComputationGraph half = LoRA.apply(base.convertDataType(DataType.HALF), adapter.config());
            INDArray before = half.params().dup();

            refused(() -> adapter.applyTo(half, LoRAAdapter.ApplyOption.FORCE), "Layer \"" + key.split("_")[0] + "\"",
                    "of type FLOAT has " + (double) (float) large + " at position", "data type HALF",
                    "convertDataType(DataType.FLOAT)");
            assertThat(half.params()).isEqualTo(before);
        }
    }
}
