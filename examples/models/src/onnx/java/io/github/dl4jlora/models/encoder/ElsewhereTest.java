package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.onnx.OnnxAdapter;
import io.github.dl4jlora.onnx.OnnxExport;
import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.JavaBlocks;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import javax.tools.ToolProvider;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** The code of docs/guide/elsewhere.md compiles as it is printed, and computes what the network does. */
@Tag("minilm")
class ElsewhereTest {

    private static final String PAGE = "docs/guide/elsewhere.md";

    @TempDir
    private Path folder;

    private static MultiLayerNetwork network() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().nIn(64).nOut(20).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder().nIn(20).nOut(10).activation(Activation.SOFTMAX).build()).build());
        network.init();
        return network;
    }

    /** As the digits of the main example. */
    private static MultiLayerNetwork images() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().nOut(20).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder().nOut(10).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.convolutional(28, 28, 1)).build());
        network.init();
        return network;
    }

    private static MultiLayerNetwork tuned(MultiLayerNetwork base, int rank, INDArray examples) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(rank).updater(new Sgd(1)).seed(rank).build());
        tuned.fit(examples, Nd4j.eye(10));
        tuned.fit(examples, Nd4j.eye(10));
        return tuned;
    }

    @Test
    void javaCompilesAsThePagePrintsIt() throws IOException {
        assertThat(JavaBlocks.mistakes(Map.of(PAGE, ElsewhereNames.class))).isEmpty();
    }

    @Test
    void javaRunsAsThePagePrintsIt() throws Exception {
        Nd4j.getRandom().setSeed(1);
        MultiLayerNetwork base = network();
        MultiLayerNetwork spam = tuned(base, 2, Nd4j.rand(DataType.FLOAT, 10, 64));
        LoRAAdapter.of(spam).save(folder.resolve("spam"));
        LoRAAdapter.of(tuned(base, 3, Nd4j.rand(DataType.FLOAT, 10, 64))).save(folder.resolve("tone"));
        INDArray rows = Nd4j.rand(DataType.FLOAT, 5, 64);
        ElsewhereNames.network = base;
        ElsewhereNames.base = base;
        ElsewhereNames.tuned = tuned(images(), 2, Nd4j.rand(DataType.FLOAT, 10, 1, 28, 28));
        ElsewhereNames.rows = rows.toFloatMatrix();
        ElsewhereNames.encoder = encoder();
        try (InputStream tokenizer = PretrainedEncoder.MINILM.tokenizerFile()) {
            Files.copy(tokenizer, folder.resolve("tokenizer.json"));
        }

        int run = 0;
        for (CodeBlock block : CodeBlock.of(PAGE, CodeBlock.JAVA)) {
            if (!block.statements().isEmpty()) {
                run(block, "Block" + run++);
            }
        }

        assertThat(folder.resolve("digits.onnx")).isNotEmptyFile();
        assertClose("answers", base.output(rows));
        assertClose("withAdapter", spam.output(rows));
        assertClose("ofTheBase", base.output(rows));
        try (Tokenizer tokenizer = PretrainedEncoder.MINILM.tokenizer(64)) {
            assertClose("vector", ElsewhereNames.encoder.outputSingle(tokenizer.batch(List.of("Claim your free prize now"))));
        }
    }

    private static ComputationGraph encoder() throws IOException {
        ComputationGraph encoder = LoRA.apply(PretrainedEncoder.MINILM.sentenceEncoder(), LoRAConfig.builder().rank(4)
                .targets(EncoderTargets.QUERY_VALUE).seed(1).build());
        encoder.params().addi(Nd4j.randn(DataType.FLOAT, encoder.params().shape()).muli(0.05));
        return encoder;
    }

    private static void assertClose(String variable, INDArray expected) {
        Object kept = ElsewhereNames.ANSWERS.get(variable);
        INDArray actual = kept instanceof float[] vector ? Nd4j.create(new float[][] {vector}) : Nd4j.create((float[][]) kept);
        assertThat(expected.sub(actual).amaxNumber().doubleValue()).as(variable)
                .isLessThan(1e-5 * expected.amaxNumber().doubleValue());
    }

    /** In a folder of this test's, with what it computes kept. */
    private void run(CodeBlock block, String name) throws Exception {
        String imports = CodeBlock.of(PAGE, CodeBlock.JAVA).stream().flatMap(any -> any.imports().stream())
                .collect(Collectors.joining("\n"));
        String here = folder.toString().replace('\\', '/');
        String code = block.code().lines().filter(line -> !line.startsWith("import ")).collect(Collectors.joining("\n"))
                .replaceAll("\"([\\w.]+\\.onnx(_adapter)?|spam|tone|tokenizer.json)\"", "\"" + here + "/$1\"")
                .replaceAll("(float(?:\\[])+ (\\w+) = .*;)", "$1\nkeep(\"$2\", $2);");
        Path source = Files.writeString(folder.resolve(name + ".java"), imports + "\npublic class " + name + " extends "
                + ElsewhereNames.class.getName() + " {\npublic void run() throws Exception {\n" + code + "\n}\n}\n");
        assertThat(ToolProvider.getSystemJavaCompiler().run(null, null, null, "-proc:none", "-classpath",
                System.getProperty("java.class.path"), "-d", here, source.toString())).isZero();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            Class<?> compiled = loader.loadClass(name);
            compiled.getMethod("run").invoke(compiled.getConstructor().newInstance());
        }
    }

    @Test
    void pythonsLinesRun() throws Exception {
        assumeTrue(python("from importlib.util import find_spec as at; exit(not (at('numpy') and at('onnxruntime')))") == 0,
                "needs Python with onnxruntime");
        MultiLayerNetwork base = network();
        LoRAAdapter spam = LoRAAdapter.of(tuned(base, 2, Nd4j.rand(DataType.FLOAT, 10, 64)));
        OnnxExport.write(base, folder.resolve("network.onnx"));
        OnnxExport.write(base, spam, folder.resolve("base.onnx"));
        OnnxAdapter.write(spam, folder.resolve("spam.onnx_adapter"));

        assertThat(CodeBlock.of(PAGE, "python")).hasSize(1)
                .allSatisfy(block -> assertThat(python(block.code() + "assert answers.shape == (2, 10)")).isZero());
    }

    private int python(String code) throws InterruptedException {
        try {
            return new ProcessBuilder("python3", "-c", code).directory(folder.toFile()).inheritIO().start().waitFor();
        } catch (IOException e) {
            return -1;
        }
    }
}
