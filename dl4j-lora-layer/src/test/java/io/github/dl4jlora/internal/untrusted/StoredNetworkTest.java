package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.internal.stored.Assembly;
import io.github.dl4jlora.internal.stored.ModelZip;
import io.github.dl4jlora.internal.stored.StoredConfiguration;
import io.github.dl4jlora.internal.stored.StreamedModel;
import io.github.dl4jlora.internal.stored.ValuesElsewhere;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A network that DL4J wrote is restored, or read layer by layer, without a look at anything else in its file. */
class StoredNetworkTest {

    @TempDir
    private Path folder;

    private static Model network(boolean graph, DataType type) {
        return graph ? Networks.trainedGraph(type, new Adam(0.01)) : Networks.trainedLayers(type, new Adam(0.01));
    }

    private File written(Model network, boolean updater) throws IOException {
        File file = folder.resolve("base.zip").toFile();
        ModelSerializer.writeModel(network, file, updater);
        return file;
    }

    @ParameterizedTest
    @CsvSource({"true, FLOAT", "false, FLOAT", "true, DOUBLE", "false, DOUBLE"})
    void aNetworkIsRestoredWithItsTypeItsValuesAndItsUpdatersState(boolean graph, DataType type) throws IOException {
        Model network = network(graph, type);
        File file = written(network, true);

        Model restored = ModelZip.restore(file, true);
        Model without = ModelZip.restore(file, false);

        assertThat(restored).hasSameClassAs(network);
        assertThat(restored.params()).isEqualTo(network.params());
        assertThat(restored.params().dataType()).isEqualTo(type);
        assertThat(ModelZip.updaterState(restored)).isEqualTo(ModelZip.updaterState(network));
        assertThat(ModelZip.updaterState(network).amaxNumber().doubleValue()).isPositive();
        assertThat(without.params()).isEqualTo(network.params());
        assertThat(ModelZip.updaterState(without).amaxNumber().doubleValue()).isZero();
        assertThat(Models.outputs(restored)).isEqualTo(Models.outputs(network));
    }

    @Test
    void aStateThatIsNotInTheFileIsNotAskedFor() throws IOException {
        Model network = network(true, DataType.FLOAT);

        assertThat(ModelZip.restore(written(network, false), true).params()).isEqualTo(network.params());
    }

    @Test
    void whatIsRestoredOutlivesTheCallersWorkspace() throws IOException {
        File file = written(network(false, DataType.FLOAT), true);
        try (MemoryWorkspace open = Nd4j.getWorkspaceManager().getAndActivateWorkspace(
                WorkspaceConfiguration.builder().initialSize(1 << 20).build(), "StoredNetworkTest")) {
            assertThat(ModelZip.restore(file, false).params().isAttached()).isFalse();
        }
    }

    @Test
    void aFileThatIsNoneOrNoZipIsNamed() throws IOException {
        Path text = Files.writeString(folder.resolve("text.zip"), "no network");

        assertThatThrownBy(() -> ModelZip.restore(folder.toFile(), true)).isInstanceOf(IOException.class)
                .hasMessage(folder + " is a folder, but a saved network is a file");
        Path nothing = folder.resolve("nothing.zip");
        assertThatThrownBy(() -> ModelZip.restore(nothing.toFile(), true)).isInstanceOf(IOException.class)
                .hasMessage(nothing + " does not exist or is not a file");
        assertThatThrownBy(() -> ModelZip.restore(text.toFile(), true)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("text.zip", "is truncated, damaged or not a saved network");
    }

    /** Java reads the comment, and says nothing but that the file has ended. */
    @Test
    void aZipWhoseCommentIsNotThereIsNamed() throws IOException {
        File file = written(network(false, DataType.FLOAT), false);
        byte[] whole = Files.readAllBytes(file.toPath());
        whole[whole.length - 2] = 5;
        Files.write(file.toPath(), whole);

        assertThatThrownBy(() -> ModelZip.restore(file, true)).isInstanceOf(IOException.class)
                .hasMessage(file + " is truncated, damaged or not a saved network: it ends too early. Copy or save it again");
    }

    private static ComputationGraphConfiguration graph(long nOut) {
        return new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).graphBuilder().addInputs("in")
                .addLayer("fc", new DenseLayer.Builder().nIn(3).nOut(nOut).build(), "in")
                .addLayer("act", new ActivationLayer(Activation.TANH), "fc")
                .addVertex("sum", new ElementWiseVertex(ElementWiseVertex.Op.Add), "act", "fc")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(nOut).nOut(2).build(), "sum")
                .setOutputs("out").build();
    }

    @Test
    void parametersAreCountedBeforeTheyAreMade() throws IOException {
        List<Long> asked = new ArrayList<>();

        ComputationGraph made = Assembly.of(graph(4), length -> {
            asked.add(length);
            return Nd4j.ones(DataType.DOUBLE, 1, length);
        });

        assertThat(asked).containsExactly(3L * 4 + 4 + 4 * 2 + 2);
        assertThat(made.params().toDoubleVector()).hasSize(26).containsOnly(1);
        assertThat(made.getConfiguration().getDataType()).isEqualTo(DataType.DOUBLE);
        assertThatThrownBy(() -> Assembly.of(graph(Long.MAX_VALUE / 5), length -> {
            throw new AssertionError("no array is to be made");
        })).isInstanceOf(IOException.class).hasMessageContaining("has a number of parameters out of range");
    }

    @Test
    void aNetworkWithoutParametersNeedsNoArray() throws IOException {
        Assembly.Parameters none = length -> {
            throw new AssertionError("no array is to be made");
        };
        MultiLayerNetwork layers = Assembly.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LossLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).build()).build(), none);

        assertThat(layers.output(Nd4j.ones(1, 3))).isEqualTo(Nd4j.ones(1, 3));
    }

    @Test
    void everyLayerAndVertexIsLookedAtByName() throws IOException {
        Map<String, String> seen = new LinkedHashMap<>();
        StoredConfiguration.Look look = (name, configured) -> seen.put(name, configured.getClass().getSimpleName());
        ComputationGraph graph = Networks.of(graph(4));
        MultiLayerNetwork layers = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().nIn(3).nOut(4).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nIn(4).nOut(2).build()).build());

        StoredConfiguration.forEach(graph, look);
        assertThat(seen).isEqualTo(Map.of("fc", "DenseLayer", "act", "ActivationLayer", "sum", "ElementWiseVertex", "out",
                "OutputLayer"));
        seen.clear();
        layers.getLayerWiseConfigurations().getConf(0).getLayer().setLayerName(null);
        StoredConfiguration.forEach(layers, look);
        assertThat(seen).isEqualTo(Map.of("0", "DenseLayer", "out", "OutputLayer"));
        seen.clear();
        StoredConfiguration.network(StoredConfiguration.json(graph), look, length -> Nd4j.zeros(1, length));
        StoredConfiguration.network(StoredConfiguration.json(layers), look, length -> Nd4j.zeros(1, length));
        assertThat(seen).containsOnlyKeys("fc", "act", "sum", "out", "0");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void layersComeOneByOneAndOnlyThoseThatHaveParameters(boolean isGraph) throws IOException {
        Model network = network(isGraph, DataType.FLOAT);
        StreamedModel streamed = StreamedModel.open(written(network, true));
        List<INDArray> values = new ArrayList<>();

        streamed.forEach((layer, array) -> {
            assertThat(array.length()).isEqualTo(layer.params().length());
            values.add(array);
        });

        assertThat(Nd4j.concat(0, values.toArray(INDArray[]::new)))
                .isEqualTo(network.params().reshape(network.params().length()));
        assertThat(streamed.standIn()).hasSameClassAs(network);
        assertThat(streamed.standIn().params().amaxNumber().doubleValue()).isZero();
        if (isGraph) {
            ComputationGraph graph = Networks.of(graph(4));
            assertThat(ValuesElsewhere.layers(graph)).extracting(layer -> layer.params().length()).containsExactly(16L, 10L);
        }
    }

    @Test
    void aFileOfTheSameShapesThatEndsOtherwiseIsRefusedAtItsEnd() throws IOException {
        StreamedModel streamed = StreamedModel.open(written(network(true, DataType.FLOAT), false));
        ComputationGraph wider = Networks.of(graph(40));
        written(wider, false);

        assertThatThrownBy(() -> streamed.forEach((layer, values) -> { })).isInstanceOf(IOException.class)
                .hasMessageContainingAll("base.zip", "values");
    }

    /** Small blocks come from the allocator's own store, larger ones straight from the system. */
    @ParameterizedTest
    @CsvSource({"FLOAT, 1", "HALF, 65535", "HALF, 65536", "DOUBLE, 70000", "FLOAT, 9000000"})
    void zerosThatTakeNoMemoryAreZerosOfTheirTypeAndLength(DataType type, long length) {
        INDArray vector = ValuesElsewhere.vector(type, length);

        assertThat(vector.shape()).containsExactly(1, length);
        assertThat(vector.dataType()).isEqualTo(type);
        assertThat(vector.getDouble(0)).isZero();
        assertThat(vector.getDouble(length - 1)).isZero();
        vector.putScalar(length - 1, 3);
        assertThat(vector.sumNumber().doubleValue()).isEqualTo(3);
    }

    @Test
    void anArrayLiesInTheMemoryThatItIsGiven() throws IOException {
        ByteBuffer memory = ByteBuffer.allocateDirect(20).order(ByteOrder.nativeOrder());
        for (int i = 0; i < 5; i++) {
            memory.putFloat(4 * i, i);
        }
        memory.position(4);

        INDArray array = ValuesElsewhere.on(memory, DataType.FLOAT);

        assertThat(array.toFloatVector()).containsExactly(1, 2, 3, 4);
        memory.putFloat(16, 7);
        assertThat(array.getFloat(3)).isEqualTo(7);
    }

    @Test
    void aLayersParametersAreFoundOnAnotherVector() {
        ComputationGraph network = Networks.trainedGraph();
        for (Trainable layer : ValuesElsewhere.layers(network)) {
            Map<String, INDArray> views = ValuesElsewhere.sameViews(layer, layer.params().dup().reshape(layer.params().length()));

            assertThat(views.keySet()).isEqualTo(layer.paramTable(false).keySet());
            layer.paramTable(false).forEach((key, own) -> {
                assertThat(views.get(key)).isEqualTo(own);
                assertThat(views.get(key).stride()).isEqualTo(own.stride());
            });
            assertThat(Arrays.stream(views.values().toArray(INDArray[]::new)).mapToLong(INDArray::length).sum())
                    .isEqualTo(layer.params().length());
        }
        assertThat(ValuesElsewhere.length(null)).isZero();
        assertThat(ValuesElsewhere.length(network.params())).isEqualTo(network.params().length());
    }
}
