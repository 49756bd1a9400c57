package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Layers that were trained in full, under the names and in the shapes that PyTorch's modules have. */
class TrainedInTorchTest {

    @TempDir
    private Path folder;

    static Stream<Arguments> layers() {
        return Stream.of(
                arguments(new Convolution1D.Builder(3).nOut(4).build(), InputType.recurrent(2, 7), new long[] {4, 2, 3}),
                arguments(new Convolution1DLayer.Builder(3).nOut(4).hasBias(false).build(), InputType.recurrent(2, 7),
                        new long[] {4, 2, 3}),
                arguments(new Convolution2D.Builder(3, 2).nOut(4).build(), InputType.convolutional(6, 5, 2),
                        new long[] {4, 2, 3, 2}),
                arguments(new Convolution3D.Builder(3, 2, 1).nOut(4).build(), InputType.convolutional3D(4, 5, 3, 2),
                        new long[] {4, 2, 3, 2, 1}),
                arguments(new EmbeddingLayer.Builder().nIn(9).nOut(4).build(), InputType.feedForward(9), new long[] {9, 4}),
                arguments(new EmbeddingSequenceLayer.Builder().nIn(9).nOut(4).build(), InputType.feedForward(9),
                        new long[] {9, 4}));
    }

    private static ComputationGraph base(Layer layer, InputType input) {
        var graph = new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).graphBuilder().addInputs("in")
                .setInputTypes(input).addLayer("first", layer.clone(), "in");
        String below = "first";
        if (!(layer instanceof EmbeddingLayer)) {
            graph.addLayer("pool", new GlobalPoolingLayer.Builder().build(), "first");
            below = "pool";
        }
        graph.addLayer("fc", new DenseLayer.Builder().nOut(5).build(), below)
                .addLayer("out", new OutputLayer.Builder(LossFunctions.LossFunction.MSE).nOut(2).build(), "fc").setOutputs("out");
        return Networks.of(graph.build());
    }

    private static ComputationGraph tuned(ComputationGraph base) {
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").trainable("first").build());
        Networks.randomizeAdapters(tuned.paramTable(), 4);
        tuned.getParam("first_W").assign(Networks.random(DataType.FLOAT, 5, tuned.getParam("first_W").shape()));
        return tuned;
    }

    @ParameterizedTest
    @MethodSource("layers")
    void haveItsNamesAndShapesAndComeBack(Layer layer, InputType input, long[] shape) throws IOException {
        ComputationGraph base = base(layer, input);
        ComputationGraph tuned = tuned(base);

        LoRAAdapter.of(tuned).save(folder);

        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
        assertThat(file.shape("base_model.model.first.weight")).isEqualTo(shape);
        ComputationGraph again = LoRA.apply(base, LoRAAdapter.load(folder));
        assertThat(again.params()).isEqualTo(tuned.params());
    }

    /** PyTorch's definition of a convolution: y[o, t] = b[o] + Σ w[o, i, k]·x[i, t + k]. */
    @Test
    void aSequenceConvolutionsWeightsLieAsPyTorchReadsThem() throws IOException {
        ComputationGraph tuned = tuned(base(new Convolution1D.Builder(3).nOut(4).build(), InputType.recurrent(2, 7)));
        INDArray x = Networks.random(DataType.FLOAT, 6, 1, 2, 7);
        LoRAAdapter.of(tuned).save(folder);
        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
        INDArray w = file.read("base_model.model.first.weight");
        INDArray b = file.read("base_model.model.first.bias");

        INDArray y = tuned.feedForward(x, false).get("first");

        for (int o = 0; o < 4; o++) {
            for (int t = 0; t < y.size(2); t++) {
                double expected = b.getDouble(o);
                for (int i = 0; i < 2; i++) {
                    for (int k = 0; k < 3; k++) {
                        expected += w.getDouble(o, i, k) * x.getDouble(0, i, t + k);
                    }
                }
                assertThat(y.getDouble(0, o, t)).isEqualTo(1 / (1 + Math.exp(-expected)), within(1e-5));
            }
        }
    }

    /** Version 0.1.0 wrote DL4J's own names and shapes for these layers. */
    @ParameterizedTest
    @MethodSource("layers")
    void whatAnOlderVersionWroteIsReadToo(Layer layer, InputType input, long[] shape) throws IOException {
        ComputationGraph base = base(layer, input);
        ComputationGraph tuned = tuned(base);
        LoRAAdapter.of(tuned).save(folder);
        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
        Map<String, INDArray> old = new LinkedHashMap<>();
        for (String name : file.names()) {
            if (!name.contains(".first.")) {
                old.put(name, file.read(name));
            }
        }
        tuned.getLayer("first").paramTable().forEach((key, value) -> old.put("base_model.model.first." + key, value.dup('c')));
        AdapterFiles.write(folder.resolve(AdapterFiles.TENSORS), old, file.metadata());

        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).params()).isEqualTo(tuned.params());
    }

    @Test
    void aBatchNormalisationHasVariances() throws IOException {
        ComputationGraph base = base(new BatchNormalization.Builder().build(), InputType.convolutional(4, 4, 3));
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").trainable("first").build());
        String key = tuned.getLayer("first").paramTable().containsKey("var") ? "var" : "log10stdev";
        tuned.getParam("first_" + key).assign(Nd4j.createFromArray(0.1f, 0.2f, -0.3f)
                .reshape(tuned.getParam("first_" + key).shape()));

        LoRAAdapter.of(tuned).save(folder);

        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve(AdapterFiles.TENSORS));
        double[] expected = Arrays.stream(new double[] {0.1, 0.2, -0.3})
                .map(value -> key.equals("var") ? value : Math.pow(10, 2 * value)).toArray();
        assertThat(file.read("base_model.model.first.running_var").toDoubleVector()).containsExactly(expected, within(1e-5));
        assertThat(LoRA.apply(base, LoRAAdapter.load(folder)).params()).isEqualTo(tuned.params());
    }
}
