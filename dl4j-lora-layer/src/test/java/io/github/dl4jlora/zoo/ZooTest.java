package io.github.dl4jlora.zoo;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.deeplearning4j.zoo.model.NASNet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Every architecture of DL4J's model zoo is adapted, trained, merged, saved and restored. */
@Tag("heavy")
class ZooTest {

    @TempDir
    Path folder;

    @ParameterizedTest(name = "{0}")
    @EnumSource
    void isAdaptedTrainedMergedAndSaved(Architecture architecture) throws IOException {
        Model base = architecture.base();
        bendStatistics(base);
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).alpha(4).updater(new Adam(1e-3));

        long trained = RealNetwork.check(base, architecture.target(config).build(), architecture.batch(), folder);

        assertThat(Files.readString(Path.of("../docs/guide/networks.md")))
                .contains(String.format(Locale.ROOT, "| %s | %s | %,d of %,d |",
                architecture.shape(), architecture.targets(), trained, base.params().length()));
    }

    @ParameterizedTest(name = "{0}")
    @EnumSource
    void isRestoredAsByDl4j(Architecture architecture) throws IOException {
        Model base = architecture.narrow();
        Path file = folder.resolve("base.zip");
        ModelSerializer.writeModel(base, file.toFile(), false);

        Model restored = LoRA.restore(file, false);

        assertThat(restored).isInstanceOf(base.getClass());
        assertThat(restored.params()).isEqualTo(base.params());
        assertThat(Models.json(restored)).isEqualTo(Models.json(base instanceof ComputationGraph
                ? ModelSerializer.restoreComputationGraph(file.toFile(), false)
                : ModelSerializer.restoreMultiLayerNetwork(file.toFile(), false)));
    }

    /** Batch normalisation that was never trained would divide by one and add nothing. */
    private static void bendStatistics(Model base) {
        long seed = 40;
        for (Map.Entry<String, INDArray> parameter : base.paramTable().entrySet()) {
            INDArray value = parameter.getValue();
            String name = parameter.getKey();
            if (name.endsWith("_mean") || name.endsWith("_beta")) {
                value.addi(Networks.random(DataType.FLOAT, seed, value.shape()).muli(0.1));
            } else if (name.endsWith("_var") || name.endsWith("_gamma")) {
                value.muli(Networks.random(DataType.FLOAT, seed, value.shape()).muli(0.1).addi(1));
            }
            seed++;
        }
    }

    /** Arrays outside the heap are freed with their Java objects, of which a hundred megabytes are a handful. */
    @AfterEach
    void free() {
        System.gc();
    }

    /** Why {@link NasCells} stands in for it: its helper asks for activation types before there is an input. */
    @Test
    void theZoosOwnNasNetCannotBeBuilt() {
        assertThatThrownBy(() -> NASNet.builder().numClasses(5).build().init())
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("no inputs have been set");
    }
}
