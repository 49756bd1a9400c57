package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.activations.Activation;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/** {@code dl4j-lora onnx --check}, with ONNX Runtime. */
class OnnxCheckTest {

    @TempDir
    private Path folder;
    private Shell shell;

    @BeforeEach
    void saveThem() throws IOException {
        shell = new Shell(folder);
        MultiLayerNetwork base = Networks.layers(1);
        MultiLayerNetwork tuned = Networks.adapted(base, 2, 1);
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        ModelSerializer.writeModel(Networks.graph(1), folder.resolve("graph.zip").toFile(), false);
        LoRA.save(tuned, folder.resolve("tuned.zip"), false);
        LoRA.writeBase(base, folder.resolve("shared.base"), Quantization.INT8);
        LoRAAdapter.of(tuned).save(folder.resolve("spam"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({"onnx @base.zip", "onnx @graph.zip", "onnx @tuned.zip", "onnx @base.zip @spam", "onnx @base.zip @spam --separate",
            "onnx @tuned.zip --separate --opset 21", "onnx @base.zip --batch 5 --external-data", "onnx @shared.base",
            "onnx @shared.base --weights int8"})
    void bothComputeTheSame(String line) throws IOException {
        assertThat(shell.run((line + " --check --json -o @x.onnx").split(" "))).as(shell.err()).isZero();

        assertThat(shell.json().get("largestDifference").asDouble()).isLessThan(1e-5);
    }

    /** Among its vertices is a frozen one without parameters. */
    @Test
    void aFileOfAnOlderReleaseIsWritten() throws IOException {
        Path old = Path.of("../../dl4j-lora-layer/src/test/resources/written-by-0.3.0/mapped-two-nf4/saved.zip");

        assertThat(shell.run("onnx", old.toString(), "--input", "images:5,5,1", "--input", "steps:3,4", "--masks", "--check",
                "--json", "-o", "@x.onnx")).as(shell.err()).isZero();

        assertThat(shell.json().get("largestDifference").asDouble()).isLessThan(1e-5);
    }

    /** Of 28 and of 29 pixels the same is left where it is flattened, so that its sizes are open; it takes no others. */
    @Test
    void anImageNetworkIsCheckedWithASizeThatItTakes() throws IOException {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new ConvolutionLayer.Builder(5, 5).nOut(4).build())
                .layer(new SubsamplingLayer.Builder(PoolingType.MAX).kernelSize(2, 2).stride(2, 2).build())
                .layer(new OutputLayer.Builder().nOut(3).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(28, 28, 1)).build());
        network.init();
        ModelSerializer.writeModel(network, folder.resolve("images.zip").toFile(), false);

        assertThat(shell.run("onnx", "@images.zip", "--check", "--json", "-o", "@x.onnx")).as(shell.err()).isZero();

        assertThat(shell.json().get("largestDifference").asDouble()).isLessThan(1e-5);
    }

    @Test
    void theDifferenceOfFewerBitsIsTold() throws IOException {
        assertThat(shell.run("onnx", "@base.zip", "--weights", "int8", "--check", "--json", "-o", "@x.onnx")).as(shell.err())
                .isZero();

        assertThat(shell.json().get("largestDifference").asDouble()).isBetween(1e-5, 0.1);
        assertThat(shell.run("onnx", "@base.zip", "--check", "--force", "-o", "@x.onnx")).isZero();
        assertThat(shell.out()).containsPattern("ONNX Runtime and DL4J differ by at most \\d\\.\\de-\\d+ of the largest output");
    }
}
