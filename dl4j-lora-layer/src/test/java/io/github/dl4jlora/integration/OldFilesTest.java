package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/**
 * What 0.1.0 wrote: for each of its kinds of layers and adapters a base, the adapted network as LoRA.save and as DL4J's
 * ModelSerializer write it, its adapter, and what it computed.
 */
class OldFilesTest {

    private static final Path FOLDER = Path.of("src/test/resources/written-by-0.1.0");

    static Stream<Path> networks() throws IOException {
        try (Stream<Path> all = Files.list(FOLDER)) {
            return all.filter(folder -> Files.exists(folder.resolve("saved.zip"))).sorted().toList().stream();
        }
    }

    static Stream<Path> adapters() throws IOException {
        return networks().filter(folder -> Files.exists(folder.resolve("adapter")));
    }

    @ParameterizedTest
    @MethodSource("networks")
    void aNetworkThatLoRASavedComputesWhatItDid(Path folder) throws IOException {
        Model network = LoRA.load(folder.resolve("saved.zip"));

        assertComputesWhatItDid(network, folder);
        train(network, folder);
    }

    @ParameterizedTest
    @MethodSource("networks")
    void aNetworkThatModelSerializerWroteComputesWhatItDidOnItsBase(Path folder) throws IOException {
        Model base = stock(folder.resolve("base.zip"));
        Model network = stock(folder.resolve("serialized.zip"));
        if (!folder.toString().contains("embedded")) {
            Models.attach(network, base);
        }

        assertComputesWhatItDid(network, folder);
    }

    @ParameterizedTest
    @MethodSource("adapters")
    void anAdapterAppliesToItsBase(Path folder) throws IOException {
        Model base = stock(folder.resolve("base.zip"));
        LoRAAdapter adapter = LoRAAdapter.load(folder.resolve("adapter"));

        Model network = base instanceof ComputationGraph graph ? LoRA.apply(graph, adapter)
                : LoRA.apply((MultiLayerNetwork) base, adapter);

        assertComputesWhatItDid(network, folder);
    }

    @Test
    void declaredLayersComputeWhatTheyDid() throws IOException {
        Path folder = FOLDER.resolve("declared");

        assertComputesWhatItDid(ModelSerializer.restoreMultiLayerNetwork(folder.resolve("serialized.zip")
                .toFile(), true), folder);
    }

    @Test
    void thereAreSuchFiles() throws IOException {
        assertThat(networks()).hasSizeGreaterThanOrEqualTo(11);
        assertThat(adapters()).hasSizeGreaterThanOrEqualTo(9);
    }

    private static Model stock(Path file) {
        try {
            boolean graph = file.getParent().endsWith("vertices");
            return graph ? ModelSerializer.restoreComputationGraph(file.toFile())
                    : ModelSerializer.restoreMultiLayerNetwork(file.toFile());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void assertComputesWhatItDid(Model network, Path folder) throws IOException {
        INDArray output = Models.output(network, array(folder.resolve("features.txt")));

        double[] expected = Models.values(array(folder.resolve("output.txt")));
        assertThat(Models.values(output)).containsExactly(expected, within(2e-6));
    }

    /** An old file's updater state and settings are of use. */
    private static void train(Model network, Path folder) throws IOException {
        INDArray features = array(folder.resolve("features.txt"));
        INDArray labels = array(folder.resolve("output.txt")).addi(0.5);
        INDArray before = network.params().dup();

        Models.fit(network, new DataSet(features, labels));

        assertThat(network.params()).isNotEqualTo(before);
    }

    private static INDArray array(Path file) throws IOException {
        List<String> lines = Files.readAllLines(file);
        long[] shape = Arrays.stream(lines.get(0).split(" ")).mapToLong(Long::parseLong).toArray();
        float[] values = new float[Math.toIntExact(Arrays.stream(shape).reduce(1, (a, b) -> a * b))];
        String[] words = lines.get(1).split(" ");
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) Double.parseDouble(words[i]);
        }
        return Nd4j.create(values, shape, 'c');
    }
}
