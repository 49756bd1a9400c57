package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.stored.ModelZip;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** {@link LoRA#restore} makes of DL4J's files what ModelSerializer makes of them, bit by bit. */
class RestoreTest {

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void nameIt() {
        file = folder.resolve("model.zip");
    }

    private void assertRestoredAsByDl4j() throws IOException {
        boolean graph = new String(Zips.read(file).get(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8)
                .contains("\"vertices\"");
        Model expected = graph ? ModelSerializer.restoreComputationGraph(file.toFile(), true)
                : ModelSerializer.restoreMultiLayerNetwork(file.toFile(), true);
        Model restored = graph ? LoRA.restoreComputationGraph(file, true) : LoRA.restoreMultiLayerNetwork(file, true);

        assertSame(restored, expected);
    }

    /** Configuration, counts, values, state and the next steps of training. */
    static void assertSame(Model restored, Model expected) {
        assertThat(Models.json(restored)).isEqualTo(Models.json(expected));
        assertThat(restored.params().dataType()).isEqualTo(expected.params().dataType());
        assertThat(Models.params(restored)).isEqualTo(Models.params(expected));
        assertThat(state(restored)).isEqualTo(state(expected));
        assertThat(Models.outputs(restored)).isEqualTo(Models.outputs(expected));
        Models.fit(restored, Networks.data(restored.params().dataType(), 8, 5));
        Models.fit(expected, Networks.data(restored.params().dataType(), 8, 5));
        assertThat(Models.params(restored)).isEqualTo(Models.params(expected));
    }

    private static double[] state(Model network) {
        return ModelZip.updaterState(network) == null ? new double[0] : Models.updaterState(network);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"DOUBLE", "FLOAT", "HALF"})
    void networksOfEveryDataType(DataType type) throws IOException {
        ModelSerializer.writeModel(Networks.trainedGraph(type, new Adam(0.01)), file.toFile(), true);
        assertRestoredAsByDl4j();

        ModelSerializer.writeModel(Networks.trainedLayers(type, new Adam(0.01)), file.toFile(), true);
        assertRestoredAsByDl4j();
    }

    @ParameterizedTest
    @EnumSource
    void checkpointsOfAdaptedNetworks(Kind kind) throws IOException {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        Models.fit(adapted, 1);
        ModelSerializer.writeModel(adapted, file.toFile(), true);

        assertSame(LoRA.restore(file, true), kind.restore(file.toFile(), true));
        assertThat(Models.outputs(LoRA.restore(file, false))).isEqualTo(Models.outputs(adapted));
    }

    @Test
    void aCheckpointWaitsForItsBase() throws IOException {
        ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).build());
        Models.fit(adapted, 1);
        double[] expected = Models.outputs(adapted);
        ModelSerializer.writeModel(adapted, file.toFile(), true);
        unknownFrozenWeights();

        ComputationGraph restored = LoRA.restoreComputationGraph(file, true);

        assertThatThrownBy(() -> Models.outputs(restored)).isInstanceOf(FrozenWeightsMissingException.class);
        assertThat(Models.params(restored)).isEqualTo(Models.params(adapted));
        assertThat(Models.outputs(adapted)).isEqualTo(expected);
    }

    private void unknownFrozenWeights() throws IOException {
        Map<String, byte[]> entries = Zips.read(file);
        String json = new String(entries.get(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
        entries.put(ModelSerializer.CONFIGURATION_JSON,
                json.replaceAll("(\"id\" : \")....", "$1none").getBytes(StandardCharsets.UTF_8));
        Zips.write(file, entries);
    }

    @Test
    void aFrozenNetwork() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        ModelSerializer.writeModel(LoRA.freeze(base), file.toFile(), false);

        ComputationGraph restored = LoRA.restoreComputationGraph(file, false);

        assertThat(Models.values(Models.output(restored, Nd4j.ones(2, Networks.IN))))
                .isEqualTo(Models.values(Models.output(base, Nd4j.ones(2, Networks.IN))));
        assertThatThrownBy(() -> Models.fit(restored, 1)).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("nothing to fit");
    }

    @Test
    void aNetworkWithoutParameters() throws IOException {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new ActivationLayer.Builder().activation(Activation.RELU).build()).build());
        ModelSerializer.writeModel(network, file.toFile(), false);

        assertThat(LoRA.restoreMultiLayerNetwork(file, false).output(Nd4j.createFromArray(new float[][] {{-1, 2}})))
                .isEqualTo(Nd4j.createFromArray(new float[][] {{0, 2}}));
    }

    /** DL4J before 1.0.0-beta4: counts of 32 bits, and no data type in the configuration. */
    @Test
    void filesOfOldReleases() throws IOException {
        MultiLayerNetwork network = Networks.trainedLayers();
        ModelSerializer.writeModel(network, file.toFile(), false);
        Map<String, byte[]> entries = Zips.read(file);
        entries.put(ModelSerializer.COEFFICIENTS_BIN, legacyVector(Models.params(network), DataType.DOUBLE, 'f'));
        String json = new String(entries.get(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
        entries.put(ModelSerializer.CONFIGURATION_JSON,
                json.replaceAll("\"dataType\" : \"FLOAT\",", "").getBytes(StandardCharsets.UTF_8));
        Zips.write(file, entries);

        assertRestoredAsByDl4j();
    }

    /** @param type FLOAT or DOUBLE */
    static byte[] legacyVector(double[] values, DataType type, char order) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeUTF("DIRECT");
            out.writeInt(8);
            out.writeUTF("INT");
            for (int number : new int[] {2, 1, values.length, 1, 1, 0, 1, order}) {
                out.writeInt(number);
            }
            out.writeUTF("DIRECT");
            out.writeInt(values.length);
            out.writeUTF(type.name());
            for (double value : values) {
                if (type == DataType.FLOAT) {
                    out.writeFloat((float) value);
                } else {
                    out.writeDouble(value);
                }
            }
        }
        return bytes.toByteArray();
    }

    /** DL4J up to 1.0.0-alpha: what a layer is, the name of a field says that holds it. */
    @Test
    void configurationsOfOldReleases() throws IOException {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().nIn(Networks.IN).nOut(4).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).nIn(4).nOut(Networks.OUT).activation(Activation.SOFTMAX)
                        .build()).build());
        ModelSerializer.writeModel(network, file.toFile(), false);
        Map<String, byte[]> entries = Zips.read(file);
        String json = """
                {"backprop": true, "backpropType": "Standard", "pretrain": false, "confs": [%s, %s], "inputPreProcessors": {},
                 "iterationCount": 7, "epochCount": 2}"""
                .formatted(legacyLayer("dense", "TanH", Networks.IN, 4, ""), legacyLayer("output", "Softmax", 4, Networks.OUT,
                        ", \"lossFn\": {\"MCXENT\": {}}"));
        entries.put(ModelSerializer.CONFIGURATION_JSON, json.getBytes(StandardCharsets.UTF_8));
        Zips.write(file, entries);

        assertRestoredAsByDl4j();
        assertThat(Models.outputs(LoRA.restore(file, false))).isEqualTo(Models.outputs(network));
        assertThat(LoRA.restoreMultiLayerNetwork(file, false).getIterationCount()).isEqualTo(7);
    }

    /** DL4J up to 1.0.0-beta3: a word says how weights start. Layers as in the deepest networks of DL4J's zoo. */
    @Test
    void largeConfigurationsOfOldReleases() throws IOException {
        ComputationGraphConfiguration.GraphBuilder builder = new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                .addInputs("0");
        int layers = 300;
        for (int i = 1; i <= layers; i++) {
            builder.addLayer(String.valueOf(i), new DenseLayer.Builder().nIn(Networks.IN).nOut(Networks.IN).build(),
                    String.valueOf(i - 1));
        }
        ComputationGraph network = Networks.of(builder.addLayer("out", new OutputLayer.Builder().nIn(Networks.IN)
                .nOut(Networks.OUT).activation(Activation.SOFTMAX).build(), String.valueOf(layers)).setOutputs("out").build());
        ModelSerializer.writeModel(network, file.toFile(), false);
        Map<String, byte[]> entries = Zips.read(file);
        String json = new String(entries.get(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
        entries.put(ModelSerializer.CONFIGURATION_JSON, json.replaceAll("\"weightInitFn\" : \\{[^}]*}",
                "\"weightInit\" : \"XAVIER\"").getBytes(StandardCharsets.UTF_8));
        Zips.write(file, entries);

        assertRestoredAsByDl4j();
    }

    private static String legacyLayer(String kind, String activation, int in, int out, String more) {
        return """
                {"layer": {"%s": {"layerName": null, "activationFn": {"%s": {}}, "weightInit": "XAVIER", "biasInit": 0.0,
                  "learningRate": 0.1, "updater": "SGD", "iupdater": {"@class": "org.nd4j.linalg.learning.config.Sgd",
                  "learningRate": 0.1}, "l1": 0.0, "l2": 0.0, "nin": %d, "nout": %d, "hasBias": true%s}},
                 "miniBatch": true, "minimize": true, "optimizationAlgo": "STOCHASTIC_GRADIENT_DESCENT", "seed": 1,
                 "variables": []}"""
                .formatted(kind, activation, in, out, more);
    }

    /** As DL4J writes on Windows, where Java's encoding is one of 8 bits. */
    @Test
    void namesInTheEncodingOfAnotherMachineAreToldOf() throws IOException {
        assumeTrue(Charset.defaultCharset().equals(StandardCharsets.UTF_8));
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("gr\u00f6\u00dfe").nIn(Networks.IN).nOut(Networks.OUT)
                        .build()).build());
        ModelSerializer.writeModel(network, file.toFile(), false);
        assertRestoredAsByDl4j();
        Map<String, byte[]> entries = Zips.read(file);
        entries.computeIfPresent(ModelSerializer.CONFIGURATION_JSON, (name, json) ->
                new String(json, StandardCharsets.UTF_8).getBytes(StandardCharsets.ISO_8859_1));
        Zips.write(file, entries);

        assertThatThrownBy(() -> LoRA.restore(file, true)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", "not in UTF-8", "-Dfile.encoding");
    }

    @Test
    void aLayerThatIsCalledAsAFieldOfGraphs() throws IOException {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("vertexInputs").nIn(Networks.IN).nOut(2).build()).build());
        ModelSerializer.writeModel(network, file.toFile(), false);

        assertThat(Models.outputs(LoRA.restore(file, false))).isEqualTo(Models.outputs(network));
    }

    @Test
    void filesOfOtherKindsSayWhatReadsThem() throws IOException {
        ComputationGraph base = Networks.trainedGraph();
        LoRA.save(LoRA.apply(base, LoRAConfig.builder().rank(2).build()), file, false);
        assertThatThrownBy(() -> LoRA.restore(file, true)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", "LoRA.load");

        LoRA.writeBase(base, file, null);
        assertThatThrownBy(() -> LoRA.restore(file, true)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", "LoRA.openBase");

        ModelSerializer.writeModel(base, file.toFile(), false);
        assertThatThrownBy(() -> LoRA.restoreMultiLayerNetwork(file, true)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", "LoRA.restoreComputationGraph");
    }
}
