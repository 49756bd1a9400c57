package io.github.dl4jlora.internal.keras;

import io.github.dl4jlora.Models;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.modelimport.keras.KerasModelImport;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Layers of a Keras file one by one are those that DL4J imports. The files are written by keras/write_models.py. */
class StreamedKerasTest {

    @TempDir
    Path folder;

    private static File file(String name) throws URISyntaxException {
        return Path.of(StreamedKerasTest.class.getResource("/keras/" + name).toURI()).toFile();
    }

    private static Model imported(File file) throws Exception {
        return file.getName().equals("images.h5") ? KerasModelImport.importKerasModelAndWeights(file.getPath())
                : KerasModelImport.importKerasSequentialModelAndWeights(file.getPath());
    }

    private static List<INDArray> values(StreamedKeras streamed) throws IOException {
        List<INDArray> values = new ArrayList<>();
        streamed.forEach((layer, array) -> {
            assertThat(array.length()).isEqualTo(layer.params().length());
            values.add(array);
        });
        return values;
    }

    /** DL4J makes up a seed for each. */
    private static String topology(Model network) {
        return Models.topology(network).replaceAll("\"seed\" : \\d+", "");
    }

    private static double[] joined(List<INDArray> values) {
        return Models.values(Nd4j.concat(0, values.toArray(INDArray[]::new)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"images.h5", "characters.h5"})
    @Tag("heavy")
    void everyLayersValuesAreThoseThatDl4jImports(String name) throws Exception {
        Model expected = imported(file(name));

        StreamedKeras streamed = StreamedKeras.open(file(name));

        assertThat(streamed.standIn()).hasSameClassAs(expected);
        assertThat(topology(streamed.standIn())).isEqualTo(topology(expected));
        assertThat(joined(values(streamed))).containsExactly(Models.params(expected));
        assertThat(joined(values(streamed))).as("again").containsExactly(Models.params(expected));
        assertThat(streamed.standIn().params().amaxNumber().doubleValue()).as("untouched").isZero();
    }

    @Test
    @Tag("heavy")
    void nd4jsGeneratorIsNotTouched() throws Exception {
        Nd4j.getRandom().setSeed(77);
        INDArray expected = Nd4j.rand(1, 5);
        Nd4j.getRandom().setSeed(77);

        values(StreamedKeras.open(file("images.h5")));

        assertThat(Nd4j.rand(1, 5)).isEqualTo(expected);
    }

    @Test
    @Tag("heavy")
    void nothingOfItIsInAWorkspace() throws Exception {
        double[] expected = Models.params(imported(file("characters.h5")));
        List<INDArray> values;
        StreamedKeras streamed;
        try (MemoryWorkspace open = Nd4j.getWorkspaceManager().getAndActivateWorkspace(
                WorkspaceConfiguration.builder().initialSize(1 << 20).build(), "StreamedKerasTest")) {
            streamed = StreamedKeras.open(file("characters.h5"));
            values = values(streamed);
            Nd4j.valueArrayOf(new long[] {1 << 17}, 5, DataType.FLOAT);
        }

        assertThat(streamed.standIn().params().isAttached()).isFalse();
        assertThat(joined(values)).containsExactly(expected);
    }

    @ParameterizedTest
    @ValueSource(doubles = {0.001, 0.1, 0.5, 0.9})
    @Tag("heavy")
    void aTruncatedFileIsRefused(double part) throws Exception {
        byte[] whole = Files.readAllBytes(file("images.h5").toPath());
        Path file = folder.resolve("images.h5");
        Files.write(file, Arrays.copyOf(whole, (int) (whole.length * part)));

        assertThatThrownBy(() -> values(StreamedKeras.open(file.toFile()))).isInstanceOf(IOException.class)
                .hasMessageContainingAll("images.h5", "cannot be imported");
    }

    @Test
    @Tag("heavy")
    void whatTheTakerThrowsIsItsOwn() throws Exception {
        StreamedKeras streamed = StreamedKeras.open(file("images.h5"));

        assertThatThrownBy(() -> streamed.forEach((layer, values) -> {
            throw new IllegalStateException("full");
        })).isInstanceOf(IllegalStateException.class).hasMessage("full");
    }

    @Test
    void aFileIsRecognisedByHowItBegins() throws Exception {
        Path other = Files.write(folder.resolve("other.h5"), new byte[] {'P', 'K', 3, 4});

        assertThat(StreamedKeras.recognises(file("images.h5"))).isTrue();
        assertThat(StreamedKeras.recognises(other.toFile())).isFalse();
        assertThatThrownBy(() -> StreamedKeras.recognises(folder.resolve("none.h5").toFile()))
                .isInstanceOf(IOException.class).hasMessageContaining("none.h5");
    }

    /** Without the profile "heavy" HDF5 is not on the class path. */
    @Test
    void whatIsMissingIsNamedWithTheArtifact() throws Exception {
        Assumptions.assumeTrue(StreamedKerasTest.class.getResource("/org/bytedeco/hdf5/H5File.class") == null);

        assertThatThrownBy(() -> StreamedKeras.open(file("images.h5"))).isInstanceOf(IOException.class)
                .hasMessageContainingAll("images.h5", "org.deeplearning4j:deeplearning4j-modelimport",
                        "org.bytedeco:hdf5-platform");
    }

    @Test
    @Tag("heavy")
    void theStandInComputesOnceItHasTheValues() throws Exception {
        ComputationGraph expected = (ComputationGraph) imported(file("images.h5"));
        StreamedKeras streamed = StreamedKeras.open(file("images.h5"));
        ComputationGraph standIn = (ComputationGraph) streamed.standIn();
        streamed.forEach((layer, values) -> layer.params().assign(values));
        INDArray x = Nd4j.linspace(DataType.FLOAT, 0, 0.01, 64).reshape(1, 8, 8, 1);

        assertThat(Models.values(standIn.outputSingle(x))).containsExactly(Models.values(expected.outputSingle(x)));
    }
}
