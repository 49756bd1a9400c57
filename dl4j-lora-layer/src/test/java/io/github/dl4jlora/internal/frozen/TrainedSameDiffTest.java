package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.frozen.TrainedSameDiffLayer;
import io.github.dl4jlora.frozen.TrainedSameDiffVertex;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LocallyConnected1D;
import org.deeplearning4j.nn.conf.layers.RecurrentAttentionLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.stream.Stream;

import static io.github.dl4jlora.LayerChains.builder;
import static org.assertj.core.api.Assertions.assertThat;

/** A SameDiff layer that trains in full has right gradients, and so has everything below it; DL4J would double both. */
@ExtendWith(DoublePrecision.class)
class TrainedSameDiffTest {

    private static final INDArray FEATURES = Networks.random(DataType.DOUBLE, 1, 3, 5, 4);
    private static final INDArray LABELS = Networks.random(DataType.DOUBLE, 2, 3, 2, 4);
    private static final LoRAConfig CONFIG =
            LoRAConfig.builder().rank(2).targets("below").trainable("trained").updater(new Sgd(0.1)).build();

    static Stream<Layer> layers() {
        return Stream.of(
                new SelfAttentionLayer.Builder().nIn(4).nOut(4).nHeads(2).projectInput(true).build(),
                new RecurrentAttentionLayer.Builder().nIn(4).nOut(4).nHeads(1).projectInput(true).hasBias(true).build(),
                new LocallyConnected1D.Builder().nIn(4).nOut(4).setInputSize(4).kernelSize(2).stride(1)
                        .convolutionMode(ConvolutionMode.Same).build(),
                new MaskZeroLayer(new SelfAttentionLayer.Builder().nIn(4).nOut(4).nHeads(2).projectInput(true).build(), 0));
    }

    private static MultiLayerNetwork base(Layer layer) {
        layer.setLayerName("trained");
        return Networks.of(builder().list()
                .layer(new LSTM.Builder().nIn(5).nOut(4).name("below").build())
                .layer(layer)
                .layer(output())
                .setInputType(InputType.recurrent(5, 4)).build());
    }

    private static RnnOutputLayer output() {
        return new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).dataFormat(RNNFormat.NCW)
                .activation(Activation.IDENTITY).name("out").build();
    }

    @ParameterizedTest
    @MethodSource("layers")
    void gradientsOfTheLayerAndBelowEqualFiniteDifferences(Layer layer) {
        MultiLayerNetwork adapted = LoRA.apply(base(layer), CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        assertThat(adapted.getLayerWiseConfigurations().getConf(1).getLayer()).isInstanceOf(TrainedSameDiffLayer.class);
        Gradients.assertEqualFiniteDifferences(adapted, new MultiDataSet(FEATURES, LABELS));
    }

    @ParameterizedTest
    @MethodSource("layers")
    void itTrainsTravelsAndComesBackAsTheStockLayerThatLearned(Layer layer) {
        MultiLayerNetwork base = base(layer);
        MultiLayerNetwork adapted = LoRA.apply(base, CONFIG);
        for (int i = 0; i < 3; i++) {
            adapted.fit(FEATURES, LABELS);
        }
        INDArray output = adapted.output(FEATURES).dup();

        assertThat(Networks.difference(adapted.clone().output(FEATURES), output)).isZero();
        MultiLayerNetwork restored = new MultiLayerNetwork(
                MultiLayerConfiguration.fromJson(adapted.getLayerWiseConfigurations().toJson()));
        restored.init(adapted.params().dup(), false);
        assertThat(Networks.difference(restored.output(FEATURES), output)).isZero();
        restored.fit(FEATURES, LABELS);
        adapted.fit(FEATURES, LABELS);
        assertThat(Networks.difference(restored.params(), adapted.params())).as("trained on").isLessThan(1e-12);

        MultiLayerNetwork merged = LoRA.merge(adapted);
        assertThat(Networks.difference(merged.output(FEATURES), adapted.output(FEATURES))).isLessThan(1e-12);
        assertThat(merged.getLayerWiseConfigurations().getConf(1).getLayer())
                .hasSameClassAs(base.getLayerWiseConfigurations().getConf(1).getLayer());
        assertThat(Networks.difference(merged.getLayer(1).params(), base.getLayer(1).params())).as("learned").isPositive();
    }

    @Test
    void anAdapterCarriesWhatItLearned() {
        MultiLayerNetwork base = base(layers().findFirst().orElseThrow());
        MultiLayerNetwork adapted = LoRA.apply(base, CONFIG);
        adapted.fit(FEATURES, LABELS);

        MultiLayerNetwork other = LoRA.apply(base, CONFIG);
        LoRAAdapter.of(adapted).applyTo(other);

        assertThat(LoRAAdapter.of(adapted).trainedLayers()).containsExactly("trained");
        assertThat(Networks.difference(other.output(FEATURES), adapted.output(FEATURES))).isZero();
        assertThat(LoRA.summary(adapted).toString()).doesNotContain("TrainedSameDiff");
    }

    @Test
    void aVertexHasRightGradientsTooAndComesBack() {
        ComputationGraph base = Networks.of(builder().graphBuilder().addInputs("in")
                .addLayer("below", new LSTM.Builder().nIn(5).nOut(4).build(), "in")
                .addVertex("trained", new AttentionVertex.Builder().nInKeys(4).nInValues(4).nInQueries(4).nOut(4).nHeads(2)
                        .projectInput(true).build(), "below", "below", "below")
                .addLayer("out", output(), "trained")
                .setOutputs("out").build());
        ComputationGraph adapted = LoRA.apply(base, CONFIG);
        Networks.randomizeAdapters(adapted.paramTable(), 3);

        assertThat(adapted.getConfiguration().getVertices().get("trained")).isInstanceOf(TrainedSameDiffVertex.class);
        Gradients.assertEqualFiniteDifferences(adapted, new MultiDataSet(FEATURES, LABELS));
        adapted.fit(new DataSet(FEATURES, LABELS));
        INDArray output = adapted.outputSingle(FEATURES).dup();
        assertThat(Networks.difference(adapted.clone().outputSingle(FEATURES), output)).isZero();
        ComputationGraph restored =
                new ComputationGraph(ComputationGraphConfiguration.fromJson(adapted.getConfiguration().toJson()));
        restored.init(adapted.params().dup(), false);
        assertThat(Networks.difference(restored.outputSingle(FEATURES), output)).isZero();

        ComputationGraph merged = LoRA.merge(adapted);
        assertThat(Networks.difference(merged.outputSingle(FEATURES), output)).isLessThan(1e-12);
        assertThat(merged.getConfiguration().getVertices().get("trained")).isInstanceOf(AttentionVertex.class);
    }
}
