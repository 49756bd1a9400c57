package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** What is in memory while a checkpoint is read into fewer bits. */
@Tag("heavy")
@EnabledOnOs(OS.LINUX)
class CheckpointMemoryTest {

    /** 56.7 million parameters in its dense layers. */
    private static final TransformerShape SHAPE = TransformerShape.bert(1000, 64, 768, 3072, 8, 12);
    private static final long MEGABYTE = 1 << 20;
    private static final int HEAP = 64;

    @TempDir
    Path folder;

    @BeforeEach
    void drawTheSameNumbersInEveryRun() {
        Nd4j.getRandom().setSeed(24);
    }

    /** Prints by how much the peak of resident memory grows. */
    public static final class Child {

        public static void main(String... folders) throws IOException {
            LoRAConfig config = LoRAConfig.builder().rank(4).targets(".*query").quantize(Quantization.INT8).build();
            // What Java and ND4J take for themselves is in memory before.
            LoRA.loadQuantized(Checkpoint.open(Path.of(folders[0])).model(), config);
            long before = status("VmRSS");
            ComputationGraph read = LoRA.loadQuantized(Checkpoint.open(Path.of(folders[1])).encoder(), config);
            System.out.println(status("VmHWM") - before);
            read.outputSingle(Nd4j.ones(1, 4));
        }

        private static long status(String field) throws IOException {
            return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith(field))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", ""))).sum() * 1024;
        }
    }

    @Test
    void readingIntoEightBitsTakesLittleMoreThanWhatIsKept(TestReporter reporter) throws Exception {
        long values = write();
        Path log = folder.resolve("log");
        String classpath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        Process child = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + HEAP + "m", "-Dorg.bytedeco.javacpp.maxbytes=1g", "-cp", classpath,
                Child.class.getName(), ChangedFolder.original("bert-lm-old").toString(), folder.toString())
                .redirectError(log.toFile()).redirectOutput(folder.resolve("out").toFile()).start();

        assertThat(child.waitFor()).as(() -> read(log)).isZero();
        List<String> printed = Files.readAllLines(folder.resolve("out"));
        long growth = Long.parseLong(printed.get(printed.size() - 1));

        reporter.publishEntry("values", String.valueOf(values));
        reporter.publishEntry("growth of the peak in bytes", String.valueOf(growth));
        assertThat(values).isGreaterThan(57_000_000);
        // One byte a value, the largest layer unquantised, and the overhead of JVM and allocator.
        assertThat(growth).as("MB %s", growth / MEGABYTE).isLessThan(values + (10 + HEAP) * MEGABYTE);
    }

    private static String read(Path log) {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            return e.toString();
        }
    }

    /** {@return how many values it has} */
    private long write() throws IOException {
        Map<String, Safetensors.Later> tensors = new LinkedHashMap<>();
        Transformer.addTo(new NeuralNetConfiguration.Builder().seed(1).graphBuilder(), SHAPE, Head.tokenVectors()).build()
                .getVertices().forEach((name, vertex) -> {
                    if (vertex.numParams(true) > 0) {
                        Family.BERT.names().parameters(name, ((LayerVertex) vertex).getLayerConf().getLayer())
                                .forEach(parameter -> tensors.put(parameter.tensor(), new Safetensors.Later(DataType.FLOAT,
                                        parameter.shape(), () -> Nd4j.rand(DataType.FLOAT, parameter.shape()).subi(0.5f))));
                    }
                });
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(folder.resolve("model.safetensors")))) {
            Safetensors.writeOneByOne(out, tensors, Map.of());
        }
        Files.writeString(folder.resolve("config.json"), """
                {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 1000, "max_position_embeddings": 64,
                "num_hidden_layers": 8}""");
        return Files.size(folder.resolve("model.safetensors")) / Float.BYTES;
    }
}
