package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.onnx.check.OnnxCheck;
import onnx.Onnx.ModelProto;
import onnx.Onnx.StringStringEntryProto;
import onnx.Onnx.TensorProto;
import onnx.Onnx.TensorProto.DataType;
import onnx.Onnx.ValueInfoProto;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

/** What {@code dl4j-lora onnx} writes, without ONNX Runtime. */
@Tag("heavy")
class OnnxTest {

    @TempDir
    private Path folder;
    private Shell shell;
    private final MultiLayerNetwork base = Networks.layers(1);
    private final MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);

    @BeforeEach
    void saveThem() throws IOException {
        shell = new Shell(folder);
        ModelSerializer.writeModel(base, file("base.zip").toFile(), true);
        ModelSerializer.writeModel(tuned, file("checkpoint.zip").toFile(), true);
        LoRA.save(tuned, file("tuned.zip"), true);
        LoRA.writeBase(base, file("shared.base"), Quantization.INT8);
        MultiLayerNetwork large = base.clone();
        large.getLayer(0).getParam("W").putScalar(0, 1e5);
        ModelSerializer.writeModel(large, file("large.zip").toFile(), false);
        LoRAAdapter.of(tuned).save(file("spam"));
    }

    private Path file(String name) {
        return folder.resolve(name);
    }

    private ModelProto read(String name) throws IOException {
        try (InputStream in = Files.newInputStream(file(name))) {
            return ModelProto.parseFrom(in);
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({"onnx @base.zip", "onnx @tuned.zip", "onnx @checkpoint.zip --base @base.zip", "onnx @base.zip @spam",
            "onnx @shared.base", "onnx @shared.base @spam"})
    void anyNetworkIsWritten(String line) throws IOException {
        assertThat(shell.run((line + " -o @x.onnx").split(" "))).as(shell.err()).isZero();

        assertThat(shell.out()).contains("x.onnx (", "a MultiLayerNetwork, weights in FLOAT.",
                "Inputs: input FLOAT [batch, 6]. Outputs: output FLOAT [batch, 3].").doesNotContain("inputs for");
        ModelProto written = read("x.onnx");
        assertThat(written.getGraph().getInputList()).extracting(ValueInfoProto::getName).containsExactly("input");
        assertThat(written.getGraph().getOutputList()).extracting(ValueInfoProto::getName).containsExactly("output");
        assertThat(written.getOpsetImport(0).getVersion()).isEqualTo(17);
    }

    @Test
    void whatIsAskedForIsWritten() throws IOException {
        assertThat(shell.run("onnx", "@base.zip", "-o", "@x.onnx", "--weights", "int8", "--input-name", "rows", "--output-name",
                "answers", "--opset", "19", "--batch", "4", "--logits", "--metadata", "task=spam", "--metadata", "by=me",
                "--input", "rows:6", "--json")).as(shell.err()).isZero();

        ModelProto written = read("x.onnx");
        assertThat(written.getGraph().getInputList()).extracting(ValueInfoProto::getName).containsExactly("rows");
        assertThat(written.getGraph().getInput(0).getType().getTensorType().getShape().getDim(0).getDimValue()).isEqualTo(4);
        assertThat(written.getGraph().getOutputList()).extracting(ValueInfoProto::getName).containsExactly("answers");
        assertThat(written.getGraph().getNodeList()).noneMatch(node -> node.getOpType().equals("Softmax"));
        assertThat(written.getGraph().getInitializerList()).extracting(TensorProto::getDataType)
                .contains(DataType.INT8.getNumber());
        assertThat(written.getOpsetImport(0).getVersion()).isEqualTo(19);
        assertThat(written.getMetadataPropsList()).extracting(StringStringEntryProto::getKey, StringStringEntryProto::getValue)
                .contains(org.assertj.core.groups.Tuple.tuple("task", "spam"), org.assertj.core.groups.Tuple.tuple("by", "me"));
        assertThat(shell.json().get("weights").asText()).isEqualTo("INT8");
        assertThat(shell.json().get("opset").asInt()).isEqualTo(19);
        assertThat(shell.json().get("largestDifference").isNull()).isTrue();
        assertThat(shell.json().get("explainedDifference").isNull()).isTrue();
        assertThat(shell.json().get("inputs").get(0).asText()).isEqualTo("rows FLOAT [4, 6]");
        assertThat(shell.json().get("outputs").get(0).asText()).isEqualTo("answers FLOAT [4, 3]");
    }

    @Test
    void theLengthOfSequencesMayBeLeftOpen() throws IOException {
        MultiLayerNetwork sequences = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().nIn(5).nOut(4).build()).build());
        sequences.init();
        ModelSerializer.writeModel(sequences, file("steps.zip").toFile(), false);

        assertThat(shell.run("onnx", "@steps.zip", "--input", "steps:5", "-o", "@x.onnx")).as(shell.err()).isZero();
        assertThat(shell.out()).contains("Inputs: input FLOAT [batch, 5, time]");
        assertThat(shell.run("onnx", "@steps.zip", "--input", "steps:5,9", "-o", "@y.onnx")).as(shell.err()).isZero();
        assertThat(shell.out()).contains("Inputs: input FLOAT [batch, 5, 9]");
        assertThat(shell.run("onnx", "@steps.zip", "--input", "steps:0", "-o", "@z.onnx")).isEqualTo(2);
        assertThat(shell.err()).contains("'steps:0' is not an input size");
    }

    @Test
    void optionsThatHaveNothingToDoAreRefused() {
        assertThat(shell.run("onnx", "@base.zip", "--masks", "-o", "@x.onnx")).isEqualTo(1);
        assertThat(shell.err()).contains("--masks: none of the inputs [input] is a sequence", "Leave --masks out");
        assertThat(shell.run("onnx", "@base.zip", "--open-images", "-o", "@x.onnx")).isEqualTo(1);
        assertThat(shell.err()).contains("--open-images: none of the inputs [input] is an image", "Leave --open-images out");
        assertThat(file("x.onnx")).doesNotExist();
    }

    @Test
    void baseAndAdapterAreWrittenApart() throws IOException {
        for (String[] network : List.of(new String[] {"@base.zip", "@spam"}, new String[] {"@tuned.zip"})) {
            assertThat(shell.run(Stream.of(Stream.of("onnx"), Stream.of(network), Stream.of("--separate", "--force", "-o",
                    "@base.onnx")).flatMap(words -> words).toArray(String[]::new))).as(shell.err()).isZero();

            assertThat(shell.out()).contains("with inputs for adapters of the layers fc1, fc2.");
            // Inputs with defaults.
            assertThat(read("base.onnx").getGraph().getInputList()).extracting(ValueInfoProto::getName).hasSizeGreaterThan(4)
                    .contains("input");
        }
        assertThat(shell.run("onnx", "@spam", "-o", "@spam.onnx_adapter", "--json")).as(shell.err()).isZero();
        assertThat(shell.json().get("layers")).hasSize(2);
        assertThat(Files.readAllBytes(file("spam.onnx_adapter"))).hasSizeGreaterThan(4 * (2 * 6 + 2 * 8))
                .as("ONNX Runtime's mark").containsSequence('T', 'O', 'R', 'T');
    }

    @Test
    void aSecondFileIsNamedAndCounted() throws IOException {
        String[] command = {"onnx", "@base.zip", "-o", "@x.onnx", "--external-data", "--force"};
        for (int i = 0; i < 2; i++) {
            assertThat(shell.run(command)).as(shell.err()).isZero();
            assertThat(shell.out()).contains(file("x.onnx") + " and " + file("x.onnx.data") + " (", "must stay in one folder");
        }
        assertThat(shell.run(Stream.concat(Stream.of(command), Stream.of("--json")).toArray(String[]::new))).isZero();
        assertThat(shell.json().get("data").asText()).isEqualTo(file("x.onnx.data").toString());
        assertThat(shell.json().get("bytes").asLong()).isEqualTo(Files.size(file("x.onnx")) + Files.size(file("x.onnx.data")));

        assertThat(shell.run("onnx", "@base.zip", "-o", "@x.onnx", "--force")).isZero();
        assertThat(shell.out()).as("the second file is of an earlier result").doesNotContain(".data");
    }

    @Test
    void aSecondFileOfAnotherResultStays() throws IOException {
        Files.writeString(file("x.onnx.data"), "another's");

        assertThat(shell.run("onnx", "@base.zip", "-o", "@x.onnx", "--external-data")).isEqualTo(1);

        assertThat(shell.err()).contains(file("x.onnx.data") + " exists already. Name another, or overwrite it with --force");
        assertThat(file("x.onnx")).doesNotExist();
        assertThat(file("x.onnx.data")).hasContent("another's");
    }

    @Test
    void aNormalizerIsSaidToStayOutside() throws IOException {
        NormalizerStandardize normalizer = new NormalizerStandardize();
        normalizer.fit(Networks.data(1));
        ModelSerializer.addNormalizerToModel(file("base.zip").toFile(), normalizer);

        assertThat(shell.run("onnx", "@base.zip", "-o", "@x.onnx")).as(shell.err()).isZero();

        assertThat(shell.out()).contains("does not contain the normalizer of " + file("base.zip"));
        assertThat(shell.run("onnx", "@base.zip", "-o", "@y.onnx", "--json")).as(shell.err()).isZero();
        assertThat(shell.json().get("normalizerLeftOut").asBoolean()).isTrue();
    }

    @Test
    void withoutOnnxRuntimeACheckSaysWhatToAddAndWritesNothing() {
        assumeFalse(OnnxCheck.isPossible(), "ONNX Runtime is here: -Ponnx");

        assertThat(shell.run("onnx", "@base.zip", "-o", "@x.onnx", "--check")).isEqualTo(1);

        assertThat(shell.err().lines()).hasSize(1);
        assertThat(shell.err()).contains("com.microsoft.onnxruntime:onnxruntime", "java -cp dl4j-lora.jar:onnxruntime.jar "
                + "io.github.dl4jlora.cli.Main onnx");
        assertThat(file("x.onnx")).doesNotExist();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
            "onnx @spam --weights int8 --check | is an adapter, which is written as it is. Leave out --weights, --check",
            "onnx @spam @spam | is an adapter, which is written as it is. Leave out",
            "onnx @base.zip --check --logits | --check compares outputs, which --logits and --for-text change",
            "onnx @base.zip --weights int2 | expected one of",
            "onnx @base.zip --metadata task | should be in KEY=VALUE format"})
    void wrongUsageIsToldBeforeAnythingIsRead(String line, String message) {
        assertThat(shell.run((line + " -o @x.onnx").split(" "))).as(shell.err()).isEqualTo(2);

        assertThat(shell.err()).contains(message);
        assertThat(file("x.onnx")).doesNotExist();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
            "onnx @none.zip | none.zip does not exist",
            "onnx @base.zip --separate | Name those that the base is to take: dl4j-lora onnx",
            "onnx @base.zip @none | none does not exist. An adapter is a folder",
            "onnx @tuned.zip @spam | a network without adapters is needed here",
            "onnx @base.zip --opset 3 | --opset 3: 17 to 21 can be written. Leave the option out for 17",
            "onnx @base.zip --batch 0 | --batch 0: a batch has at least 1 example",
            "onnx @base.zip --input rows:6 --input rows:6 | --input: the network has 1 inputs",
            "onnx @base.zip --input rows:7 | is given as rows:7, but layer \"fc1\" takes rows:6. Give what the layer takes",
            "onnx @base.zip --for-text | --for-text: the network has no TokenEmbeddings",
            "onnx @large.zip --weights float16 | Use --weights BF16 or FLOAT",
            "onnx @base.zip --input-name a --input-name b | --input-name a, b: the network has 1 of them",
            "onnx @base.zip --input-name a --output-name a | with --input-name and --output-name"})
    void whatFailsIsToldInTermsOfTheCommand(String line, String message) {
        assertThat(shell.run((line + " -o @x.onnx").split(" "))).as(shell.err()).isEqualTo(1);

        assertThat(shell.err()).contains(message).doesNotContain("\tat ", "OnnxExport", "inputTypes", "(...)", "WeightType");
        assertThat(file("x.onnx")).doesNotExist();
    }

    @Test
    void aDivergedNetworkIsNotWritten() throws IOException {
        base.getLayer(0).getParam("W").putScalar(0, Double.NaN);
        ModelSerializer.writeModel(base, file("diverged.zip").toFile(), false);

        assertThat(shell.run("onnx", "@diverged.zip", "-o", "@x.onnx")).isEqualTo(1);

        assertThat(shell.err()).contains("fc1", "NaN").doesNotContain("\tat ");
        assertThat(file("x.onnx")).doesNotExist();
        assertThat(folder).isDirectoryNotContaining("glob:**.tmp");
    }
}
