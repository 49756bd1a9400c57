package io.github.dl4jlora.onnx;

import com.google.flatbuffers.Table;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.variant.DoRA;
import onnx.Onnx.ModelProto;
import onnx.Onnx.NodeProto;
import onnx.Onnx.TensorProto;
import onnx.Onnx.TensorShapeProto.Dimension;
import onnx.Onnx.ValueInfoProto;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What adapters make of a file, as it stands there. What ONNX Runtime makes of it is tested in the profile {@code onnx}. */
class AdapterInputsTest {

    @TempDir
    Path folder;

    @Test
    void inputsHaveOpenRanksAndDefaultsOfZero() throws IOException {
        MultiLayerNetwork base = network();
        ModelProto model = written(base, LoRAConfig.builder().rank(3).targets(".*"));

        Map<String, List<String>> inputs = model.getGraph().getInputList().stream()
                .collect(Collectors.toMap(ValueInfoProto::getName, AdapterInputsTest::sizes));
        assertThat(inputs).containsEntry("last.lora_A", List.of("40", "last.rank"))
                .containsEntry("last.lora_B", List.of("last.rank", "2")).containsEntry("last.lora_scale", List.of())
                .containsEntry("first.lora_A", List.of("12", "first.rank")).hasSize(7);
        TensorProto a = model.getGraph().getInitializerList().stream().filter(tensor -> tensor.getName().equals("last.lora_A"))
                .findFirst().orElseThrow();
        assertThat(a.getDimsList()).containsExactly(40L, 1L);
        assertThat(a.getRawData().toByteArray()).containsOnly(0);
    }

    @Test
    void weightsOfProductsAndConvolutionsStayConstant() throws IOException {
        MultiLayerNetwork base = network();
        ModelProto model = written(base, LoRAConfig.builder().rank(3).targets(".*"));

        List<String> names = model.getGraph().getInitializerList().stream().map(TensorProto::getName).toList();
        List<NodeProto> nodes = model.getGraph().getNodeList();
        assertThat(nodes).filteredOn(node -> node.getOpType().equals("Conv")).hasSize(3);
        assertThat(nodes).filteredOn(node -> node.getOpType().equals("Conv") && names.contains(node.getInput(1))).hasSize(1);
        assertThat(nodes).filteredOn(node -> node.getOpType().equals("MatMul")).hasSize(3);
    }

    @Test
    void severalAdaptersShareOneFile() throws IOException {
        MultiLayerNetwork base = network();
        Path file = folder.resolve("base.onnx");
        OnnxExport.of(base).adapters(adapter(base, LoRAConfig.builder().rank(2).targets("first")),
                adapter(base, LoRAConfig.builder().rank(1).targets("last"))).write(file);

        assertThat(ModelProto.parseFrom(Files.readAllBytes(file)).getGraph().getInputList()).extracting(ValueInfoProto::getName)
                .contains("first.lora_B", "last.lora_B");
    }

    @Test
    void adaptersForAnotherBaseAreRefused() {
        MultiLayerNetwork other = network();
        other.params().addi(1);
        LoRAAdapter adapter = adapter(other, LoRAConfig.builder().rank(2).targets("first"));

        assertThatThrownBy(() -> OnnxExport.write(network(), adapter, folder.resolve("base.onnx")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("first");
        assertThat(folder.resolve("base.onnx")).doesNotExist();
    }

    @Test
    void adapterFilesHaveOnnxRuntimesForm() throws IOException {
        LoRAAdapter adapter = adapter(network(), LoRAConfig.builder().rank(2).alpha(6).targets("last").trainable("first"));
        Path file = folder.resolve("adapter.onnx_adapter");
        OnnxAdapter.write(adapter, file);

        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        assertThat(StandardCharsets.US_ASCII.decode(bytes.slice(4, 4)).toString()).isEqualTo("TORT");
        Map<String, List<Long>> shapes = Parameter.shapes(bytes);
        assertThat(shapes).containsEntry("last.lora_A", List.of(40L, 2L)).containsEntry("last.lora_B", List.of(2L, 2L))
                .containsEntry("last.lora_scale", List.of()).containsEntry("first.weight", List.of(4L, 3L, 2L, 2L))
                .containsEntry("first.bias", List.of(4L)).hasSize(5);
    }

    @Test
    void startsThatWereTakenFromTheBaseDoubleTheRank() throws IOException {
        MultiLayerNetwork base = network();
        LoRAAdapter adapter = adapter(base, LoRAConfig.builder().rank(2).targets("last").loraInit(LoRAInit.PISSA));
        Path file = folder.resolve("adapter.onnx_adapter");

        OnnxAdapter.write(adapter, file);
        assertThat(Parameter.shapes(ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN)))
                .containsEntry("last.lora_A", List.of(40L, 4L));
    }

    @Test
    void scalesOfDoraDoNotDependOnTheTypeOfTheFile() throws IOException {
        MultiLayerNetwork base = network();
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("last").variant(new DoRA()).build();
        LoRAAdapter.of(LoRA.apply(base.convertDataType(DataType.HALF), config)).save(folder.resolve("halves"));
        // A file of Python's does not say which base it is for.
        Path tensors = folder.resolve("halves/adapter_model.safetensors");
        Files.writeString(tensors, Files.readString(tensors, StandardCharsets.ISO_8859_1)
                .replace("dl4j_lora.base.", "of_no_base....."), StandardCharsets.ISO_8859_1);
        LoRAAdapter halves = LoRAAdapter.load(folder.resolve("halves"));

        OnnxExport.of(base).adapters(halves).write(folder.resolve("base.onnx"));
        OnnxAdapter.write(halves, base, folder.resolve("adapter"));

        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(folder.resolve("adapter"))).order(ByteOrder.LITTLE_ENDIAN);
        assertThat(Parameter.shapes(bytes)).containsEntry("last.lora_magnitude", List.of(2L));
    }

    @Test
    void valuesThatAreNoNumbersAreRefused() {
        MultiLayerNetwork tuned = LoRA.apply(network(), LoRAConfig.builder().rank(2).targets("last").build());
        INDArray params = tuned.params();
        params.putScalar(params.length() - 1, Float.NaN);

        assertThatThrownBy(() -> OnnxAdapter.write(LoRAAdapter.of(tuned), folder.resolve("adapter")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("last.lora_");
        assertThat(folder.resolve("adapter")).doesNotExist();
    }

    @Test
    void aBatchNormalisationTrainedInFullIsRefusedAsNoBaseTakesIt() {
        MultiLayerNetwork base = Initialised.of(1, InputType.feedForward(4),
                new DenseLayer.Builder().name("first").nOut(5).build(), new BatchNormalization.Builder().name("norm").build(),
                new OutputLayer.Builder().name("last").nOut(3).build());
        LoRAAdapter adapter = adapter(base, LoRAConfig.builder().rank(2).targets("first").trainable("norm"));

        assertThatThrownBy(() -> OnnxAdapter.write(adapter, folder.resolve("adapter"))).isInstanceOf(OnnxExportException.class)
                .hasMessageContainingAll("\"norm\"", "batch normalisation", "LoRA.merge");
        assertThat(folder.resolve("adapter")).doesNotExist();
    }

    @Test
    void aLayerThatOneAdapterTrainsAndAnotherAdaptsNeedsTwoFiles() {
        MultiLayerNetwork base = network();
        LoRAAdapter adapts = adapter(base, LoRAConfig.builder().rank(2).targets("first", "last"));
        LoRAAdapter trains = adapter(base, LoRAConfig.builder().rank(2).targets("last").trainable("first"));

        assertThatThrownBy(() -> OnnxExport.of(base).adapters(adapts, trains).write(folder.resolve("base.onnx")))
                .isInstanceOf(OnnxExportException.class)
                .hasMessageContainingAll("\"first\"", "one adapter adds A·B to its W, another trains it in full",
                        "once for either");
    }

    @Test
    void aFilesFormNamesWhatASessionNeeds() throws IOException {
        MultiLayerNetwork base = network();
        LoRAAdapter adapter = adapter(base, LoRAConfig.builder().rank(2).targets("last"));

        assertThat(OnnxExport.of(base).adapters(adapter).batch(2).outputs("answer").write(folder.resolve("base.onnx")))
                .hasToString("input FLOAT [2, 3, 3, 6] -> answer FLOAT [2, 2]");
    }

    private ModelProto written(MultiLayerNetwork base, LoRAConfig.Builder config) throws IOException {
        OnnxExport.write(base, adapter(base, config), folder.resolve("base.onnx"));
        return ModelProto.parseFrom(Files.readAllBytes(folder.resolve("base.onnx")));
    }

    private static LoRAAdapter adapter(MultiLayerNetwork base, LoRAConfig.Builder config) {
        return LoRAAdapter.of(LoRA.apply(base, config.build()));
    }

    private static List<String> sizes(ValueInfoProto input) {
        return input.getType().getTensorType().getShape().getDimList().stream()
                .map(size -> size.getValueCase() == Dimension.ValueCase.DIM_PARAM ? size.getDimParam() : "" + size.getDimValue())
                .toList();
    }

    private static MultiLayerNetwork network() {
        return Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new ConvolutionLayer.Builder(2, 2).name("first").nIn(3).nOut(4).build())
                .layer(new OutputLayer.Builder().name("last").nOut(2).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(3, 6, 3)).build());
    }

    /** A parameter of an adapter file. */
    private static final class Parameter extends Table {

        static Map<String, List<Long>> shapes(ByteBuffer file) {
            Parameter adapter = new Parameter();
            adapter.__reset(file.getInt(0), file);
            int list = adapter.__offset(10);
            Map<String, List<Long>> shapes = new LinkedHashMap<>();
            for (int i = 0; i < adapter.__vector_len(list); i++) {
                Parameter parameter = new Parameter();
                parameter.__reset(adapter.__indirect(adapter.__vector(list) + 4 * i), file);
                int sizes = parameter.__offset(6);
                List<Long> shape = new ArrayList<>();
                for (int axis = 0; axis < parameter.__vector_len(sizes); axis++) {
                    shape.add(file.getLong(parameter.__vector(sizes) + 8 * axis));
                }
                shapes.put(parameter.__string(parameter.bb_pos + parameter.__offset(4)), shape);
                assertThat(parameter.__vector_len(parameter.__offset(10)))
                        .isEqualTo(4 * shape.stream().mapToInt(Long::intValue).reduce(1, (a, b) -> a * b));
            }
            return shapes;
        }
    }
}
