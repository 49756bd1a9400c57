package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A base location at which there is a file to be mapped. */
class MappedLocationTest {

    private final MultiLayerNetwork base = Networks.trainedLayers();
    @TempDir
    private Path folder;

    private Path written(Quantization scheme) throws IOException {
        Path file = folder.resolve("base.lora");
        LoRA.writeBase(base, file, scheme);
        return file;
    }

    private static FrozenReference reference(MultiLayerNetwork network) {
        return ((Replacement) network.getLayerWiseConfigurations().getConf(0).getLayer()).getFrozen();
    }

    @ParameterizedTest
    @CsvSource({",", ",INT8", "NF4,", ",BF16", "BF16,"})
    void servesLayersAsTheyAreOrAsAsked(Quantization scheme, Quantization asked) throws IOException {
        Path file = written(scheme);
        FrozenReference reference = reference(LoRA.apply(LoRA.openMultiLayerNetworkBase(file),
                LoRAConfig.builder().quantize(asked).build()));
        URI elsewhere = URI.create("memory:/mapped-" + scheme + asked);
        MemoryBases.put(elsewhere, Files.readAllBytes(file));

        for (URI location : new URI[] {file.toUri(), elsewhere}) {
            FrozenWeights found = BaseLocation.load(location, reference);
            assertThat(found.id()).isEqualTo(reference.getId());
            assertThat(found.form()).isEqualTo(reference.getForm());
            assertThat(found.values()).isEqualTo(reference.bound().values());
        }
    }

    @Test
    void valuesThatHashToOtherIdsAreRefused() throws IOException {
        Path file = written(null);
        FrozenReference reference = reference(LoRA.freeze(base));
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 128] ^= 1;
        URI location = URI.create("memory:/damaged");
        MemoryBases.put(location, bytes);

        assertThatThrownBy(() -> BaseLocation.load(location, reference)).isInstanceOf(UncheckedIOException.class)
                .hasMessageContainingAll("memory:/damaged", "damaged");
    }

    @Test
    void aLayerThatJavaCannotMapIsRefusedByName() {
        MappedFile.requireMappable("narrow", Integer.MAX_VALUE);

        assertThatThrownBy(() -> MappedFile.requireMappable("wide", 1L << 31)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"wide\"", "2147483648", "Quantization.INT8");
    }
}
