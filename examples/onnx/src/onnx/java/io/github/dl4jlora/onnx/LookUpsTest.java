package io.github.dl4jlora.onnx;

import ai.onnxruntime.OrtSession.SessionOptions.OptLevel;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.onnx.check.OnnxCheck;
import io.github.dl4jlora.transformers.Head;
import io.github.dl4jlora.transformers.TransformerShape;
import onnx.Onnx.ModelProto;
import onnx.Onnx.TensorProto;
import onnx.Onnx.TensorProto.DataType;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

/** Tables of embeddings in fewer bits. */
class LookUpsTest {

    private static final String TYPES = """
            FLOAT,   1e-5, 4
            FLOAT16, 2e-3, 2
            BF16,    2e-2, 2
            INT8,    3e-2, 1""";
    private static final int IDS = 2000;
    private static final int SIZE = 32;

    @TempDir
    private Path folder;

    private MultiLayerNetwork network(FeedForwardLayer.Builder<?> table) {
        return Samples.network(1, InputType.feedForward(IDS), table.name("table").nIn(IDS).nOut(SIZE).build(),
                table instanceof EmbeddingLayer.Builder ? new DenseLayer.Builder().nOut(3).build()
                        : new LSTM.Builder().nOut(3).build());
    }

    private static void requireNear(Model network, Path file, double tolerance, INDArray input) {
        for (OptLevel level : List.of(OptLevel.ALL_OPT, OptLevel.NO_OPT)) {
            assertThat(InRuntime.difference(InRuntime.outputs(network, input).get(0),
                    InRuntime.run(file, level, input).get(0))).as("%s", level).isLessThan(tolerance);
        }
    }

    @ParameterizedTest
    @CsvSource(textBlock = TYPES)
    void tablesAreAsSmallAsTheirTypeSays(WeightType type, double tolerance, long bytes) throws IOException {
        INDArray ids = Nd4j.createFromArray(new float[][]{{1}, {0}, {1999}, {7}});
        for (boolean sequence : new boolean[]{false, true}) {
            MultiLayerNetwork network = sequence
                    ? network(new EmbeddingSequenceLayer.Builder())
                    : network(new EmbeddingLayer.Builder());
            Path file = folder.resolve(sequence + ".onnx");
            OnnxExport.of(network).weights(type).write(file);

            requireNear(network, file, tolerance, sequence ? ids.reshape(1, 4) : ids);
            // Scales of rows, the other layer, and what the graph itself takes.
            assertThat(Files.size(file)).isLessThan(IDS * SIZE * bytes + IDS * Float.BYTES + 9000);
        }
    }

    @ParameterizedTest
    @CsvSource(textBlock = TYPES)
    void aTiedDecoderReadsTheTableThatWordsAreLookedUpIn(WeightType type, double tolerance) throws IOException {
        TransformerShape shape = TransformersTest.SHAPES.get(0);
        Model network = TransformersTest.network(shape, Head.maskedWords());
        Path file = folder.resolve("tied.onnx");
        OnnxExport.of(network).weights(type).write(file);

        requireNear(network, file, 3 * tolerance, TransformersTest.ids(shape, 4, 7));
    }

    /** It is a table of positions, though its key is that of words. */
    @ParameterizedTest
    @EnumSource
    void whatMpnetAddsForDistancesStaysFloat(WeightType type) throws IOException {
        Path file = folder.resolve("mpnet.onnx");
        OnnxExport.of(TransformersTest.network(TransformersTest.SHAPES.get(4), Head.tokenVectors())).weights(type).write(file);

        Map<String, Integer> types = ModelProto.parseFrom(Files.readAllBytes(file)).getGraph().getInitializerList().stream()
                .collect(Collectors.toMap(TensorProto::getName, TensorProto::getDataType));
        assertThat(types).containsEntry("encoder.relative_attention_bias/W", DataType.FLOAT_VALUE)
                .containsEntry("embeddings/P", DataType.FLOAT_VALUE);
        assertThat(types.get("embeddings/W") == DataType.FLOAT_VALUE).isEqualTo(type == WeightType.FLOAT);
    }

    @ParameterizedTest
    @CsvSource(textBlock = TYPES)
    void anAdapterStaysBesideATableInFewerBits(WeightType type, double tolerance, long bytes) throws IOException {
        MultiLayerNetwork base = network(new EmbeddingSequenceLayer.Builder());
        MultiLayerNetwork tuned = Samples.shaken(LoRA.apply(base, LoRAConfig.builder().rank(2).targets("table").seed(1).build()),
                3);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        Path file = folder.resolve("base.onnx");
        OnnxExport.of(base).adapters(adapter).weights(type).write(file);
        OnnxAdapter.write(adapter, folder.resolve("adapter"));

        requireNear(base, file, tolerance, Nd4j.createFromArray(new float[][]{{1, 0, 1999, 7}}));
        assertThat(OnnxCheck.largestDifference(tuned, file, folder.resolve("adapter"))).isLessThan(tolerance);
        assertThat(Files.size(file)).isLessThan(IDS * SIZE * bytes + 2 * IDS * Float.BYTES + 9000);
    }
}
