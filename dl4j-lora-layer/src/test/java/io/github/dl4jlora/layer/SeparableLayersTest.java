package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.onednn.OneDnn;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** An adapted separable convolution computes on W + s·A·B what DL4J's does, by a kernel. */
@ExtendWith(DoublePrecision.class)
class SeparableLayersTest {

    private static final int ROWS = 3;

    enum Case {
        TRUNCATED, SAME_STRIDED_MULTIPLIED, CHANNELS_LAST;

        CNN2DFormat format() {
            return this == CHANNELS_LAST ? CNN2DFormat.NHWC : CNN2DFormat.NCHW;
        }

        SeparableConvolution2D layer() {
            SeparableConvolution2D.Builder builder = new SeparableConvolution2D.Builder(3, 2).dataFormat(format());
            return (this == TRUNCATED ? builder.padding(1, 0) : this == CHANNELS_LAST ? builder.depthMultiplier(2)
                    : builder.convolutionMode(ConvolutionMode.Same).stride(2, 2).depthMultiplier(2)).nOut(4).name("separable")
                    .build();
        }

        /** A convolution below, the separable one, and an output layer. */
        MultiLayerNetwork base(DataType type) {
            MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(5).dataType(type)
                    .activation(Activation.TANH).updater(new NoOp()).list()
                    .layer(new ConvolutionLayer.Builder(2, 2).nOut(3).dataFormat(format()).name("below").build())
                    .layer(layer()).layer(new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY)
                            .build())
                    .setInputType(InputType.convolutional(6, 5, 2, format())).build());
            base.params().assign(Networks.random(type, 9, base.params().shape()).muli(0.5));
            return base;
        }

        MultiDataSet data(DataType type) {
            long[] shape = this == CHANNELS_LAST ? new long[] {ROWS, 6, 5, 2} : new long[] {ROWS, 2, 6, 5};
            return new MultiDataSet(Networks.random(type, 1, shape), Networks.random(type, 2, ROWS, 2));
        }
    }

    private static LoRAConfig config(Engine engine) {
        return LoRAConfig.builder().rank(2).alpha(0.7).seed(3L).targets(LayerType.CONVOLUTION).engine(engine).updater(new NoOp())
                .build();
    }

    private static <M extends Model> M randomized(M tuned, Map<String, INDArray> table) {
        Networks.randomizeAdapters(table, 4);
        return tuned;
    }

    private static MultiLayerNetwork adapted(MultiLayerNetwork base, Engine engine) {
        MultiLayerNetwork tuned = LoRA.apply(base, config(engine));
        return randomized(tuned, tuned.paramTable());
    }

    private static ComputationGraph adaptedGraph(MultiLayerNetwork base, Engine engine) {
        ComputationGraph tuned = LoRA.apply(base.toComputationGraph(), config(engine));
        return randomized(tuned, tuned.paramTable());
    }

    private static void assertSame(Map<String, INDArray> found, Map<String, INDArray> expected, double tolerance) {
        assertThat(found.keySet()).isEqualTo(expected.keySet()).isNotEmpty();
        expected.forEach((key, gradient) -> {
            assertThat(gradient.amaxNumber().doubleValue()).as(key).isPositive();
            assertThat(Networks.difference(found.get(key), gradient)).as(key).isLessThan(tolerance);
        });
    }

    @ParameterizedTest
    @EnumSource
    void outputsAndGradientsAreThoseOfDl4jsLayerInNetworksAndGraphs(Case geometry) {
        MultiLayerNetwork base = geometry.base(DataType.DOUBLE);
        MultiDataSet data = geometry.data(DataType.DOUBLE);
        MultiLayerNetwork tuned = adapted(base, Engine.FUSED);
        MultiLayerNetwork stock = adapted(base, Engine.EFFECTIVE_WEIGHTS);

        assertThat(Networks.difference(tuned.output(data.getFeatures(0)), stock.output(data.getFeatures(0)))).isLessThan(1e-12);
        assertSame(Gradients.of(tuned, data), Gradients.of(stock, data), 1e-10);
        assertSame(Gradients.of(adaptedGraph(base, Engine.FUSED), data),
                Gradients.of(adaptedGraph(base, Engine.EFFECTIVE_WEIGHTS), data), 1e-10);
        Gradients.assertEqualFiniteDifferences(tuned, data);
    }

    @ParameterizedTest
    @EnumSource
    void inFloatTheyAreThoseOfDl4jsLayerByAnyLibrary(Case geometry) {
        MultiLayerNetwork base = geometry.base(DataType.FLOAT);
        MultiDataSet data = geometry.data(DataType.FLOAT);
        MultiLayerNetwork stock = adapted(base, Engine.EFFECTIVE_WEIGHTS);
        for (OneDnn.Use use : OneDnn.Use.values()) {
            OneDnn.use(use);
            try {
                MultiLayerNetwork tuned = adapted(base, Engine.FUSED);
                assertThat(Networks.difference(tuned.output(data.getFeatures(0)), stock.output(data.getFeatures(0))))
                        .isLessThan(1e-5);
                assertSame(Gradients.of(tuned, data), Gradients.of(stock, data), 1e-4);
            } finally {
                OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void disabledItComputesWhatTheBaseComputesBitForBit(Case geometry) {
        MultiLayerNetwork base = geometry.base(DataType.FLOAT);
        INDArray x = geometry.data(DataType.FLOAT).getFeatures(0);
        MultiLayerNetwork tuned = adapted(base, Engine.FUSED);
        assertThat(Networks.difference(tuned.output(x), base.output(x))).isPositive();

        try (LoRA.Scope off = LoRA.disabled(tuned)) {
            assertThat(Models.values(tuned.output(x))).isEqualTo(Models.values(base.output(x)));
        }
    }
}
