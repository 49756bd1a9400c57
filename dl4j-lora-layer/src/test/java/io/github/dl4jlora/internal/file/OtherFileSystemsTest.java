package io.github.dl4jlora.internal.file;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterSource;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapters, networks and bases in file systems that are not this machine's. */
class OtherFileSystemsTest {

    private static final String LAYER = "fc1";

    private final MultiLayerNetwork base = Networks.trainedLayers();

    private MultiLayerNetwork tuned(int seed) {
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(seed).build());
        Networks.randomizeAdapters(tuned.paramTable(), seed);
        return tuned;
    }

    private static FileSystem memory(String system) {
        return Jimfs.newFileSystem("macOS".equals(system) ? Configuration.osX() : Configuration.windows());
    }

    private void assertIsReplaced(Path folder) throws IOException {
        LoRAAdapter.of(tuned(1)).save(folder);
        Files.writeString(folder.resolve("README.md"), "of the user");
        assertThat(LoRAAdapter.load(folder).deltaWeight(LAYER)).isEqualTo(LoRAAdapter.of(tuned(1)).deltaWeight(LAYER));
        LoRAAdapter.of(tuned(2)).save(folder);

        assertThat(LoRAAdapter.load(folder).deltaWeight(LAYER)).isEqualTo(LoRAAdapter.of(tuned(2)).deltaWeight(LAYER));
        assertThat(Pairs.names(folder)).containsExactly("README.md", Pairs.SECOND, Pairs.FIRST);
        assertThat(Pairs.names(folder.toAbsolutePath().getParent())).containsExactly(folder.getFileName().toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"macOS", "Windows"})
    void anAdapterIsSavedReplacedAndLoaded(String system) throws IOException {
        try (FileSystem files = memory(system)) {
            assertIsReplaced(files.getPath("adapters", "spam"));
        }
    }

    /** Loading leaves nothing open that would keep Windows from replacing the files. */
    @Test
    void anAdapterIsSavedReplacedAndLoadedWhereOpenFilesStay() throws IOException {
        try (WindowsDisk disk = new WindowsDisk()) {
            assertIsReplaced(disk.folder("adapters").resolve("spam"));
        }
    }

    @Test
    void aBankServesWhatIsReplacedMeanwhileWhereOpenFilesStay() throws IOException {
        INDArray input = Networks.random(DataType.FLOAT, 7, 3, Networks.IN);
        try (WindowsDisk disk = new WindowsDisk(); AdapterBank bank = new AdapterBank(base, BankConfig.builder()
                .source(AdapterSource.folder(disk.folder("adapters"))).build())) {
            Path spam = disk.folder("adapters").resolve("spam");
            for (int version = 1; version <= 2; version++) {
                LoRAAdapter.of(tuned(version)).save(spam);
                bank.refresh("spam");
                assertThat(Networks.difference(bank.output("spam", input), tuned(version).output(input))).isLessThan(1e-5);
            }
            assertThat(bank.names()).containsExactly("spam");
            assertThatThrownBy(() -> bank.output("Spam", input)).hasMessageContaining("Spam");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"macOS", "Windows"})
    void whatCannotBeReadFromThereIsRefusedInWords(String system) throws IOException {
        try (FileSystem files = memory(system)) {
            Path network = files.getPath("tuned.zip");
            Path mapped = files.getPath("base.lora");
            LoRA.save(tuned(1), network, true);
            LoRA.writeBase(base, mapped, Quantization.INT8);

            for (ThrowingCallable read : List.<ThrowingCallable>of(() -> LoRA.load(network), () -> LoRA.isSelfContained(network),
                    () -> LoRA.restore(network, false), () -> LoRA.restoreNormalizer(network),
                    () -> LoRA.loadQuantized(network, Quantization.INT8))) {
                assertThatThrownBy(read).isInstanceOf(IOException.class).hasMessageContainingAll("tuned.zip",
                        "is not on the disk", "\"jimfs\"", "Copy the file to the disk");
            }
            assertThatThrownBy(() -> LoRA.openBase(mapped)).isInstanceOf(IOException.class)
                    .hasMessageContainingAll("base.lora", "is not on the disk");
            assertThat(Pairs.names(network.toAbsolutePath().getParent())).containsExactly("base.lora", "tuned.zip");
        }
    }
}
