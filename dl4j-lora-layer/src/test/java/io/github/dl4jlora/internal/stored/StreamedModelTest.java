package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.keras.Growth;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.conf.layers.variational.VariationalAutoencoder;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.DataOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Layers of a saved network one by one are those of the whole. */
class StreamedModelTest {

    private static final int WIDE = 4;

    @TempDir
    Path folder;

    private static final List<Supplier<Layer>> FLAT = List.of(
            () -> new DenseLayer.Builder().nOut(WIDE).build(),
            () -> new DenseLayer.Builder().nOut(WIDE).hasBias(false).hasLayerNorm(true).build(),
            () -> new BatchNormalization(),
            () -> new ActivationLayer(Activation.RELU),
            () -> new PReLULayer.Builder().inputShape(WIDE).build(),
            () -> new ElementWiseMultiplicationLayer.Builder().nOut(WIDE).build(),
            () -> new FrozenLayer(new DenseLayer.Builder().nOut(WIDE).build()),
            () -> new VariationalAutoencoder.Builder().nOut(WIDE).encoderLayerSizes(5).decoderLayerSizes(3).build());
    private static final List<Supplier<Layer>> SEQUENCES = List.of(
            () -> new LSTM.Builder().nOut(WIDE).build(),
            () -> new GravesLSTM.Builder().nOut(WIDE).build(),
            () -> new SimpleRnn.Builder().nOut(WIDE).build(),
            () -> new Bidirectional(Bidirectional.Mode.CONCAT, new LSTM.Builder().nOut(2).build()),
            () -> new SelfAttentionLayer.Builder().nOut(WIDE).nHeads(2).projectInput(true).build());
    private static final List<Supplier<Layer>> IMAGES = List.of(
            () -> new Convolution2D.Builder(3, 3).nOut(WIDE).build(),
            () -> new Convolution2D.Builder(1, 2).nOut(3).hasBias(false).build(),
            () -> new Deconvolution2D.Builder(2, 2).nOut(2).build(),
            () -> new SeparableConvolution2D.Builder(2, 2).nOut(3).build(),
            () -> new DepthwiseConvolution2D.Builder(2, 2).depthMultiplier(2).build(),
            () -> new SubsamplingLayer.Builder().kernelSize(2, 2).stride(1, 1).build(),
            () -> new BatchNormalization());

    /** A few layers of one of the three, and what ends it. */
    private static List<Layer> stack(Random random, int kind) {
        List<Supplier<Layer>> choice = List.of(FLAT, SEQUENCES, IMAGES).get(kind);
        List<Layer> layers = new ArrayList<>();
        for (int i = random.nextInt(4); i >= 0; i--) {
            layers.add(choice.get(random.nextInt(choice.size())).get());
        }
        if (kind == 2) {
            layers.add(new GlobalPoolingLayer());
        }
        layers.add(kind == 1 ? new RnnOutputLayer.Builder(LossFunction.MSE).nOut(2).build()
                : random.nextBoolean() ? new CenterLossOutputLayer.Builder(LossFunction.MSE).nOut(2).build()
                : new OutputLayer.Builder(LossFunction.MSE).nOut(2).build());
        for (int i = 0; i < layers.size(); i++) {
            layers.get(i).setLayerName("layer" + i);
        }
        return layers;
    }

    private static final InputType[] INPUTS = {InputType.feedForward(WIDE), InputType.recurrent(WIDE, 5),
            InputType.convolutional(9, 8, 2)};

    private static NeuralNetConfiguration.Builder builder(DataType type) {
        return new NeuralNetConfiguration.Builder().seed(1).dataType(type).activation(Activation.TANH);
    }

    private static Model random(long seed, DataType type, boolean graph) {
        Random random = new Random(seed);
        int kind = random.nextInt(3);
        List<Layer> layers = stack(random, kind);
        Model network;
        if (graph) {
            ComputationGraphConfiguration.GraphBuilder vertices = builder(type).graphBuilder().addInputs("in");
            String last = layers.get(layers.size() - 1).getLayerName();
            for (int i = 0; i < layers.size(); i++) {
                vertices.addLayer("layer" + i, layers.get(i), i == 0 ? "in" : "layer" + (i - 1));
            }
            if (kind == 1) {
                // Declared late, but among the first in the vector.
                vertices.addVertex("attention", new AttentionVertex.Builder().nInQueries(WIDE).nInKeys(WIDE).nInValues(WIDE)
                        .nOut(2).nHeads(1).projectInput(true).build(), "in", "in", "in");
                vertices.addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "attention", last);
                vertices.addLayer("end", new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).build(), "sum");
                last = "end";
            }
            network = Networks.of(vertices.setOutputs(last).setInputTypes(INPUTS[kind]).build());
        } else {
            network = Networks.of(builder(type).list(layers.toArray(Layer[]::new)).setInputType(INPUTS[kind]).build());
        }
        network.params().assign(Networks.random(type, seed, network.params().shape()));
        return network;
    }

    private File written(Model network) throws IOException {
        File file = folder.resolve("base.zip").toFile();
        ModelSerializer.writeModel(network, file, true);
        return file;
    }

    private static String name(Trainable layer) {
        return layer instanceof GraphVertex vertex ? vertex.getVertexName()
                : layer.getConfig().getLayerName();
    }

    private static Map<String, INDArray> values(StreamedBase streamed) throws IOException {
        Map<String, INDArray> values = new LinkedHashMap<>();
        streamed.forEach((layer, array) -> assertThat(values.put(name(layer), array)).isNull());
        return values;
    }

    private static List<Trainable> all(Model network) {
        return network instanceof ComputationGraph graph ? Arrays.asList(graph.getVertices())
                : Arrays.asList(((MultiLayerNetwork) network).getLayers());
    }

    @ParameterizedTest
    @ValueSource(strings = {"FLOAT", "DOUBLE", "HALF"})
    void everyLayersValuesAreThoseThatDl4jRestores(DataType type) throws IOException {
        for (int seed = 0; seed < 60; seed++) {
            boolean graph = seed % 2 == 0;
            File file = written(random(seed, type, graph));
            Model restored = graph ? ModelSerializer.restoreComputationGraph(file)
                    : ModelSerializer.restoreMultiLayerNetwork(file);

            StreamedModel streamed = StreamedModel.open(file);
            Map<String, INDArray> values = values(streamed);

            assertThat(streamed.standIn()).hasSameClassAs(restored);
            assertThat(Models.topology(streamed.standIn())).isEqualTo(Models.topology(restored));
            for (Trainable layer : all(restored)) {
                INDArray found = values.remove(name(layer));
                if (layer.params() == null || layer.params().isEmpty()) {
                    assertThat(found).isNull();
                } else {
                    assertThat(found.dataType()).isEqualTo(type);
                    assertThat(Models.values(found)).as("%s of seed %d", name(layer), seed)
                            .containsExactly(Models.values(layer.params()));
                }
            }
            assertThat(values).as("of no layer").isEmpty();
        }
    }

    @Test
    void theStandInHasEveryShapeAndZeros() throws IOException {
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);

        ComputationGraph standIn = (ComputationGraph) StreamedModel.open(written(base)).standIn();

        assertThat(standIn.getConfiguration()).isEqualTo(base.getConfiguration());
        base.paramTable().forEach((name, array) ->
                assertThat(standIn.getParam(name)).isEqualTo(Nd4j.zeros(DataType.DOUBLE, array.shape())));
        standIn.setParams(base.params());
        INDArray x = Networks.random(DataType.DOUBLE, 3, 2, Networks.IN);
        assertThat(Models.values(standIn.outputSingle(x))).containsExactly(Models.values(base.outputSingle(x)));
    }

    @Test
    void aNetworkWithoutParametersHasNoLayerToRead() throws IOException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LossLayer.Builder(LossFunction.MSE).build()).build());
        File file = folder.resolve("base.zip").toFile();
        ModelSerializer.writeModel(base, file, false);

        assertThat(values(StreamedModel.open(file))).isEmpty();
    }

    @Test
    void nd4jsGeneratorIsNotTouched() throws IOException {
        File file = written(Networks.trainedGraph());
        Nd4j.getRandom().setSeed(77);
        INDArray expected = Nd4j.rand(1, 5);
        Nd4j.getRandom().setSeed(77);

        values(StreamedModel.open(file));

        assertThat(Nd4j.rand(1, 5)).isEqualTo(expected);
    }

    @Test
    void nothingOfItIsInTheCallersWorkspace() throws IOException {
        File file = written(Networks.trainedGraph());
        try (MemoryWorkspace open = Nd4j.getWorkspaceManager().getAndActivateWorkspace(
                WorkspaceConfiguration.builder().initialSize(1 << 20).build(), "StreamedModelTest")) {
            StreamedModel streamed = StreamedModel.open(file);

            assertThat(streamed.standIn().params().isAttached()).isFalse();
            assertThat(values(streamed).values()).isNotEmpty().noneMatch(INDArray::isAttached);
        }
    }

    @Test
    void anAdaptedNetworkIsRefusedWithWhatLoadsIt() throws IOException {
        Path file = folder.resolve("adapted.zip");
        LoRA.save(LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build()), file, false);

        assertThatThrownBy(() -> StreamedModel.open(file.toFile())).isInstanceOf(IOException.class)
                .hasMessageContainingAll("adapted.zip", "is not a base", "LoRA.load");
    }

    @Test
    void aFileThatWasReplacedInBetweenIsRefused() throws IOException {
        StreamedModel streamed = StreamedModel.open(written(Networks.trainedGraph()));
        written(Networks.trainedGraph(DataType.DOUBLE));

        assertThatThrownBy(() -> values(streamed)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("base.zip has been replaced", "FLOAT", "DOUBLE");
    }

    @Test
    void whatTheTakerThrowsIsItsOwn() throws IOException {
        StreamedModel streamed = StreamedModel.open(written(Networks.trainedGraph()));

        assertThatThrownBy(() -> streamed.forEach((layer, values) -> {
            throw new IllegalStateException("full");
        })).isInstanceOf(IllegalStateException.class).hasMessage("full");
    }

    /** 90 MB in ten layers. */
    @Test
    @Tag("heavy")
    @EnabledOnOs(OS.LINUX)
    void noMoreThanALayerIsInMemory() throws IOException, InterruptedException {
        int wide = 1500;
        int layers = 10;
        long bytes = 4L * layers * wide * (wide + 1);
        File file = large(layers, wide);

        assertThat(Growth.of(file, false, folder.resolve("log"))).isLessThan(bytes / 2);
        assertThat(Growth.of(file, true, folder.resolve("log"))).as("where all are kept").isGreaterThan(bytes * 9 / 10);
    }

    /** Not compressed, and never in memory here. */
    private File large(int layers, int wide) throws IOException {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).list();
        for (int i = 0; i < layers; i++) {
            list.layer(new DenseLayer.Builder().name(String.valueOf((char) ('a' + i))).nIn(wide).nOut(wide).build());
        }
        File file = folder.resolve("large.zip").toFile();
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file.toPath()))) {
            zip.setLevel(0);
            zip.putNextEntry(new ZipEntry(ModelSerializer.CONFIGURATION_JSON));
            zip.write(list.build().toJson().getBytes(StandardCharsets.UTF_8));
            zip.putNextEntry(new ZipEntry(ModelSerializer.COEFFICIENTS_BIN));
            DataOutputStream out = new DataOutputStream(zip);
            out.writeUTF("LONG_SHAPE");
            out.writeLong(8);
            out.writeUTF("LONG");
            out.write(new byte[8 * 8]);
            long each = (long) wide * (wide + 1);
            out.writeUTF("MIXED_DATA_TYPES");
            out.writeLong(layers * each);
            out.writeUTF("FLOAT");
            for (int i = 0; i < layers; i++) {
                ByteBuffer row = ByteBuffer.allocate(wide * 4);
                while (row.hasRemaining()) {
                    row.putFloat('a' + i);
                }
                for (int k = 0; k <= wide; k++) {
                    out.write(row.array());
                }
            }
        }
        return file;
    }
}
