package io.github.dl4jlora;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Bases whose values somebody gives, layer by layer. */
class BaseSourceTest {

    private static final INDArray INPUT = Networks.data(DataType.FLOAT, 16, 5).getFeatures();
    private static final LoRAConfig QUANTIZED = LoRAConfig.builder().rank(2).alpha(2).quantize(Quantization.INT8).build();

    @TempDir
    Path folder;
    private final ComputationGraph graph = Networks.trainedGraph();
    private final MultiLayerNetwork layers = Networks.trainedLayers();
    private final List<String> asked = new ArrayList<>();

    private BaseSource<ComputationGraph> graphSource() {
        return BaseSource.of(graph.getConfiguration(), (layer, parameters) -> {
            asked.add(layer);
            parameters.forEach((key, values) -> values.assign(graph.getLayer(layer).getParam(key)));
        });
    }

    private BaseSource<MultiLayerNetwork> layersSource() {
        return BaseSource.of(layers.getLayerWiseConfigurations(), (layer, parameters) ->
                parameters.forEach((key, values) -> values.assign(layers.getLayer(layer).getParam(key))));
    }

    @Test
    void aSourceMakesTheStockNetwork() throws IOException {
        ComputationGraph made = graphSource().network();

        assertThat(made.params()).isEqualTo(graph.params());
        assertThat(made.outputSingle(INPUT)).isEqualTo(graph.outputSingle(INPUT));
        assertThat(layersSource().network().output(INPUT)).isEqualTo(layers.output(INPUT));
        assertThat(asked).containsExactly("fc1", "fc2", "out");
    }

    /** DL4J's clone() of a configuration forgets the axis. */
    @Test
    void channelsThatComeLastAreMergedAlongTheirAxis() throws IOException {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).graphBuilder().addInputs("x")
                .addLayer("a", new LSTM.Builder().nOut(3).dataFormat(RNNFormat.NWC).build(), "x")
                .addLayer("b", new LSTM.Builder().nOut(3).dataFormat(RNNFormat.NWC).build(), "x")
                .addVertex("both", new MergeVertex(), "a", "b")
                .addLayer("out", new RnnOutputLayer.Builder().nOut(2).dataFormat(RNNFormat.NWC).build(), "both")
                .setOutputs("out").setInputTypes(InputType.recurrent(2, 5, RNNFormat.NWC)).build());
        BaseSource<ComputationGraph> source = BaseSource.of(base.getConfiguration(), (layer, parameters) ->
                parameters.forEach((key, values) -> values.assign(base.getLayer(layer).getParam(key))));
        INDArray input = Networks.random(DataType.FLOAT, 5, 4, 5, 2);

        assertThat(source.network().outputSingle(input)).isEqualTo(base.outputSingle(input));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void aSourceIsReadLayerByLayerIntoTheSameNetworkAsTheBase(Quantization scheme) throws IOException {
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(2).quantize(scheme).loraInit(LoRAInit.LOFTQ).build();

        ComputationGraph read = LoRA.loadQuantized(graphSource(), config);

        assertThat(read.params()).isEqualTo(LoRA.apply(graph, config).params());
        assertThat(read.outputSingle(INPUT)).isEqualTo(LoRA.apply(graph, config).outputSingle(INPUT));
        assertThat(LoRA.loadQuantized(layersSource(), config).output(INPUT)).isEqualTo(LoRA.apply(layers, config).output(INPUT));
        assertThat(LoRA.loadQuantized(layersSource(), scheme).output(INPUT)).isEqualTo(LoRA.freeze(layers, scheme).output(INPUT));
    }

    @Test
    void aSourceIsWrittenIntoAMappedFile() throws IOException {
        LoRA.writeBase(graphSource(), folder.resolve("base"), Quantization.NF4);
        LoRA.writeBase(layersSource(), folder.resolve("as-it-is"), null);

        assertThat(LoRA.openComputationGraphBase(folder.resolve("base")).outputSingle(INPUT))
                .isEqualTo(LoRA.freeze(graph, Quantization.NF4).outputSingle(INPUT));
        assertThat(LoRA.openMultiLayerNetworkBase(folder.resolve("as-it-is")).output(INPUT)).isEqualTo(layers.output(INPUT));
    }

    @Test
    void whatTheSourceThrowsArrives() throws IOException {
        BaseSource<ComputationGraph> broken = BaseSource.of(graph.getConfiguration(), (layer, parameters) -> {
            throw new IOException("no values for " + layer);
        });

        assertThatThrownBy(broken::network).isInstanceOf(IOException.class).hasMessage("no values for fc1");
        assertThatThrownBy(() -> LoRA.loadQuantized(broken, QUANTIZED)).isInstanceOf(IOException.class)
                .hasMessage("no values for fc1");
        assertThatThrownBy(() -> LoRA.writeBase(broken, folder.resolve("base"), null)).hasMessage("no values for fc1");
        assertThat(Files.exists(folder.resolve("base"))).isFalse();
    }

    @Test
    void aConfigurationThatKeepsTheBaseAsItIsNamesTheWayToIt() {
        assertThatThrownBy(() -> LoRA.loadQuantized(graphSource(), LoRAConfig.builder().build()))
                .hasMessageContaining("quantize(Quantization.INT8)").hasMessageContaining("network()");
        assertThat(asked).isEmpty();
    }

    @Test
    void theRandomGeneratorIsLeftAlone() throws IOException {
        Nd4j.getRandom().setSeed(3);
        INDArray expected = Nd4j.rand(4);
        Nd4j.getRandom().setSeed(3);

        graphSource().network();
        LoRA.loadQuantized(graphSource(), Quantization.INT8);

        assertThat(Nd4j.rand(4)).isEqualTo(expected);
    }
}
