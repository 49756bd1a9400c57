package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Whoever types commands is answered in options and commands, not in Java. */
class WordingTest {

    /** Methods, qualified names, the library's own classes. */
    private static final String JAVA = "\\w\\.[a-z]\\w*\\(|\\b[a-z]\\w+\\((?!s\\))[^ ]*\\)|\\bLoRA[A-Z.]\\w+|\\b\\w+Option\\b"
            + "|\\bFrozenBase\\w+|java\\.|keyMapper|\\.tmp\\b";

    @TempDir
    private static Path folder;
    private final Shell shell = new Shell(folder);

    @BeforeAll
    static void saveThem() throws IOException {
        MultiLayerNetwork base = Networks.layers(1);
        MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);
        ModelSerializer.writeModel(base, file("base.zip").toFile(), false);
        ModelSerializer.writeModel(Networks.layers(99), file("other.zip").toFile(), false);
        ModelSerializer.writeModel(Networks.graph(1), file("graph.zip").toFile(), false);
        LoRA.save(tuned, file("tuned.zip"), true);
        ModelSerializer.writeModel(tuned, file("checkpoint.zip").toFile(), true);
        LoRA.save(LoRA.freeze(base, Quantization.INT8), file("int8.zip"), false);
        LoRA.writeBase(base, file("shared.base"), Quantization.INT8);
        LoRAAdapter.of(tuned).save(file("spam"));
        Networks.adapter(base, 3, 2).save(file("three"));
        Networks.adapter(Networks.layers(99), 2, 1).save(file("foreign"));
        trained(base, LoRAConfig.builder().rank(2).variant(new DoRA())).save(file("dora"));
        trained(base, LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA)).save(file("pissa"));
        trained(base, LoRAConfig.builder().rank(2).bias(BiasTraining.ALL)).save(file("biased"));
        tuned.getLayer(0).getParam("A").putScalar(0, Double.NaN);
        ModelSerializer.writeModel(tuned, file("diverged.zip").toFile(), false);
        for (String broken : List.of("badconfig", "cut", "pickle", "adalora", "lacking")) {
            LoRAAdapter.load(file("spam")).save(file(broken));
        }
        Path config = file("adalora/adapter_config.json");
        Files.writeString(config, Files.readString(config).replace("LORA", "ADALORA"));
        Files.writeString(file("badconfig/adapter_config.json"), "{");
        byte[] tensors = Files.readAllBytes(file("cut/adapter_model.safetensors"));
        Files.write(file("cut/adapter_model.safetensors"), Arrays.copyOf(tensors, tensors.length - 100));
        Files.move(file("pickle/adapter_model.safetensors"), file("pickle/adapter_model.bin"));
    }

    private static LoRAAdapter trained(MultiLayerNetwork base, LoRAConfig.Builder config) {
        MultiLayerNetwork adapted = LoRA.apply(base, config.build());
        adapted.fit(Networks.data(2));
        return LoRAAdapter.of(adapted);
    }

    private static Path file(String name) {
        return folder.resolve(name);
    }

    @Test
    void adviceThatIsAnOptionHereStays() {
        assertThat(Wording.of("targets(\".*\") matches \"bn\" (BatchNormalization: its parameters are vectors; train it in full "
                + "with trainable(...)), which cannot be adapted; of this network, [fc] can. Narrow the pattern, use "
                + "exclude(...), or take all that can be adapted with allTargets()"))
                .isEqualTo("--targets \".*\" matches \"bn\" (BatchNormalization: its parameters are vectors; train it in full "
                        + "with --trainable), which cannot be adapted; of this network, [fc] can. Narrow the pattern, or leave "
                        + "it out with --exclude");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', value = {
            "apply @base.zip --targets fc9 | --targets \"fc9\" matches no layer",
            "apply @base.zip --targets fc1/b | --targets \"fc1/b\" matches",
            "apply @base.zip --trainable fc9 | --trainable \"fc9\" matches no layer with parameters",
            "apply @base.zip --exclude .* | name the layers with --targets",
            "apply @base.zip --targets fc1 --exclude fc1 | --exclude and --trainable leave no target",
            "apply @base.zip --rank 2000000000 | is at most 6: set a smaller one",
            "apply @base.zip --rank 0 | --rank is 0",
            "apply @base.zip --rank x | 'x' is not a whole number",
            "apply @base.zip --alpha NaN | --alpha is NaN, but must be a finite number. Set it with --alpha 16",
            "apply @base.zip --alpha 0 | --alpha is 0",
            "apply @base.zip --alpha 1e29 | a network of type FLOAT can compute with at most 1.8E19. Choose an alpha closer to 0",
            "apply @base.zip --alpha a | 'a' is not a number",
            "apply @base.zip --seed 1.5 | '1.5' is not a whole number",
            "apply @base.zip --targets ( | --targets \"(\" is not a regular expression",
            "apply @tuned.zip --quantize int8 | Name the network that it was made of",
            "apply @int8.zip --quantize int8 | Name the network that it was made of",
            "apply @shared.base --quantize nf4 | is a base in a mapped file already",
            "quantize @int8.zip --as nf4 | Name the network that it was made of",
            "quantize @checkpoint.zip --as nf4 | Name the network that it was made of",
            "quantize @shared.base --as int8 | is a base in a mapped file already",
            "quantize @base.zip --as int8 --as nf4 | option '--as' (WORD) should be specified only once",
            "quantize @base.zip --as int8 --mapped --mapped | option '--mapped' should be specified only once",
            "merge @graph.zip @spam | Match the names with dl4j-lora import and --rename",
            "merge @other.zip @spam | or dl4j-lora import with --any-base",
            "merge @checkpoint.zip --base @other.zip | Name the network that was adapted, as it was then",
            "merge @checkpoint.zip --base @graph.zip | Give the network that it was adapted from",
            "merge @checkpoint.zip --base @int8.zip | Name the original base",
            "merge @diverged.zip --base @base.zip | go back to an earlier checkpoint",
            "export @diverged.zip --base @base.zip | go back to an earlier checkpoint",
            "import @three @tuned.zip | Make the network with dl4j-lora apply NETWORK ADAPTER",
            "import @dora @tuned.zip | Make the network with dl4j-lora apply NETWORK ADAPTER",
            "import @pissa @tuned.zip | Make the network with dl4j-lora apply NETWORK ADAPTER",
            "import @biased @tuned.zip | Make the network with dl4j-lora apply NETWORK ADAPTER",
            "import @spam @base.zip --rename fc(.)=same | --rename maps \"fc1\" and \"fc2\" to the same name, \"same\"",
            "import @badconfig @base.zip | adapter_config.json is not JSON, or was cut short",
            "import @cut @base.zip | cut/adapter_model.safetensors",
            "import @adalora @base.zip | peft_type is \"ADALORA\"; only LORA is supported",
            "inspect @spam --base @graph.zip | Match the names with dl4j-lora import and --rename",
            "combine @spam @foreign | Combine adapters of the same base",
            "combine @spam @dora | Merge it into a network with dl4j-lora merge",
            "combine @spam @three --method linear | Use CAT or SVD",
            "combine @spam=1e39 | with the weights [1.0E39] the combination is beyond what FLOAT can hold",
            "combine @spam=NaN | a weight that is not a finite number",
            "extract @base.zip @graph.zip --rank 2 | the fine-tuned network a ComputationGraph",
            "extract @int8.zip @base.zip --rank 2 | extract compares trained weights. Name the network that it was made from",
            "extract @base.zip @base.zip --rank 2 | there is nothing to extract",
            "onnx @base.zip --opset 3 | --opset 3: 17 to 21 can be written",
            "onnx @tuned.zip @spam | a network without adapters is needed here",
            "onnx @diverged.zip --base @base.zip | go back to an earlier checkpoint",
            "onnx @dora | Name its base with --base FILE",
            "report @graph.zip @spam | match them with dl4j-lora import and --rename"})
    void whatFailsIsToldInOptionsAndCommands(String line, String message) throws IOException {
        String[] words = line.split(" ");
        String[] command = Arrays.copyOf(words, words.length + 2);
        if (words[0].equals("inspect")) {
            command = words;
        } else {
            command[words.length] = "-o";
            command[words.length + 1] = "@x";
        }

        assertThat(shell.run(command)).as(shell.err()).isIn(1, 2);

        assertThat(shell.err()).contains(message).doesNotContain("\tat ");
        assertThat(shell.err().replace(folder.toString(), "")).doesNotContainPattern(JAVA);
        assertThat(file("x")).doesNotExist();
    }

    @Test
    void aFolderThatTakesNoFilesIsNamedWithoutTheTemporaryOne() {
        assumeTrue(Files.isDirectory(Path.of("/proc/self")), "for Linux, whose /proc takes no files");

        assertThat(shell.run("merge", "@base.zip", "@spam", "-o", "/proc/x")).isEqualTo(1);

        assertThat(shell.err()).contains("Cannot write /proc/x: no file can be created in its folder").doesNotContain(".tmp");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
            "Layer \"a\": give this layer a smaller one with LoRAConfig's override(\"a\", o -> o.rank(6)) | "
                    + "Layer \"a\": give a smaller one with --rank",
            "It moved. Attach a copy of it with LoRA.attach, or adapt with LoRAConfig.copyBase(true). | It moved.",
            "No. To load only complete layers: LoRAAdapter.loader().strict(false) | "
                    + "No. To take only complete layers: dl4j-lora import with --lenient",
            "No. Leave this layer out with exclude(\"out\"), or choose plain LoRA | "
                    + "No. Leave this layer out with --exclude \"out\", or choose plain LoRA",
            "Leave the layer out with exclude(...), or raise its alpha with override(...), and see whether that matters. | "
                    + "Leave the layer out with --exclude, and see whether that matters.",
            "Fix sizes with OnnxExport.inputTypes(...), and leave out openImages(true) | Leave out --open-images, and fix sizes "
                    + "with --input: rows:SIZE, steps:SIZE,STEPS, images:HEIGHT,WIDTH,CHANNELS or "
                    + "volumes:DEPTH,HEIGHT,WIDTH,CHANNELS",
            "No. Leave out OnnxExport.forText() | No. Leave out --for-text",
            "One for all. Save the network with LoRA.save instead, or give all layers the same variant | "
                    + "One for all. Give all layers the same variant",
            "It moved; take LoRAConfig.copyBase(true), or load it anew | It moved; load it anew",
            "masks(true) and forText() exclude each other | --masks and --for-text exclude each other",
            "recurrent(3, 8, NWC), but layer \"a\" takes recurrent(3, NCW) | steps:3,8,last, but layer \"a\" takes steps:3,steps",
            "convolutional(9, 8, 2, NHWC) or convolutional(height, width, 2, NCHW) | images:9,8,2,last or images:height,width,2",
            "convolutional3D(NDHWC, 4, 5, 6, 2) or convolutional3D(NCDHW, 4, 5, 6, 2) | volumes:4,5,6,2,last or volumes:4,5,6,2",
            "/home/me (old)/a(1).zip does not exist. Check the name | /home/me (old)/a(1).zip does not exist. Check the name"})
    void adviceForProgramsBecomesAnOptionOrIsLeftOut(String java, String here) {
        assertThat(Wording.of(java)).isEqualTo(here);
    }
}
