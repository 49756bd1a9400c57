package io.github.dl4jlora.bank;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapters in a folder: strangers' names lead nowhere else, and what is broken is told by name. */
class BankFolderTest {

    private final MultiLayerNetwork base = GatedTanh.network();
    private final LoRAAdapter adapter = GatedTanh.adapter(base, 1);
    private final INDArray input = GatedTanh.input(5, 2);
    private final Recorder metrics = new Recorder();

    @TempDir
    private Path place;
    private Path folder;

    @BeforeEach
    void save() throws IOException {
        folder = place.resolve("adapters");
        adapter.save(folder.resolve("a"));
        adapter.save(folder.resolve(".hidden"));
        adapter.save(place.resolve("outside"));
        adapter.save(folder.resolve("deep").resolve("er"));
        Files.writeString(folder.resolve("file"), "no folder");
    }

    private AdapterBank bank() {
        return new AdapterBank(base, BankConfig.builder().maxNetworks(1).source(AdapterSource.folder(folder)).metrics(metrics)
                .build());
    }

    private void requireAnswer(AdapterBank bank, String name, LoRAAdapter expected) {
        assertThat(Networks.difference(bank.output(name, input), GatedTanh.answer(base, expected, input))).isLessThan(1e-5);
    }

    @ParameterizedTest(name = "[{index}]")
    @ValueSource(strings = {"../outside", "..", ".", "", " ", "a/", "a/.", "/a", "deep/er", "deep\\er", ".hidden", "..\\outside",
        "a\0", "\0", "file", "C:a", "C:", "a\n", "a ", "\u202ea", "../adapters/a", "~", "%2e%2e", "con", "\ud800"})
    void aNameLeadsToNoOtherPlace(String name) {
        try (AdapterBank bank = bank()) {
            assertThatThrownBy(() -> bank.output(name, input)).isInstanceOf(UnknownAdapterException.class)
                    .hasMessageContaining("\"" + name + "\"");
            assertThat(bank.status().adapters()).isZero();
        }
    }

    @Test
    void normalNamesOnly() {
        String absolute = place.resolve("outside").toAbsolutePath().toString();
        try (AdapterBank bank = bank()) {
            assertThatThrownBy(() -> bank.output(absolute, input)).isInstanceOf(UnknownAdapterException.class);
            assertThatThrownBy(() -> bank.output("x".repeat(100_000), input)).isInstanceOf(UnknownAdapterException.class)
                    .satisfies(e -> assertThat(e.getMessage()).startsWith("The bank has no adapter \"xxx").hasSizeLessThan(2000));
            assertThat(bank.names()).containsExactly("a", "deep");
            requireAnswer(bank, "a", adapter);
        }
    }

    @Test
    void aFolderOfTheBasesNameIsNoAdapter() throws IOException {
        adapter.save(folder.resolve(AdapterBank.BASE));
        try (AdapterBank bank = bank()) {
            assertThat(bank.names()).containsExactly("a", "deep");
            requireAnswer(bank, AdapterBank.BASE, null);
        }
    }

    @Test
    void aFolderThatIsNotThereIsEmptyUntilItIs() throws IOException {
        folder = place.resolve("later");
        try (AdapterBank bank = bank()) {
            assertThat(bank.names()).isEmpty();
            assertThatThrownBy(() -> bank.output("a", input)).isInstanceOf(UnknownAdapterException.class)
                    .hasMessageContaining("neither has its source");
            adapter.save(folder.resolve("a"));

            assertThat(bank.names()).containsExactly("a");
            requireAnswer(bank, "a", adapter);
        }
    }

    @Test
    void aReplacedFolderIsReadWhenRefreshed() throws IOException {
        LoRAAdapter other = GatedTanh.adapter(base, 2);
        try (AdapterBank bank = bank()) {
            requireAnswer(bank, "a", adapter);
            other.save(folder.resolve("a"));
            requireAnswer(bank, "a", adapter);

            bank.refresh("a");

            requireAnswer(bank, "a", other);
        }
    }

    /** One message, which says which adapter, and the next request tries again. */
    @ParameterizedTest
    @ValueSource(strings = {"weights cut off", "weights of noise", "no weights", "config of noise", "config empty"})
    void whatIsBrokenIsToldByNameUntilItIsMended(String damage) throws IOException {
        Path broken = folder.resolve("b");
        adapter.save(broken);
        Path weights = broken.resolve("adapter_model.safetensors");
        Path config = broken.resolve("adapter_config.json");
        byte[] wholeWeights = Files.readAllBytes(weights);
        byte[] wholeConfig = Files.readAllBytes(config);
        switch (damage) {
            case "weights cut off" -> Files.write(weights, java.util.Arrays.copyOf(wholeWeights, wholeWeights.length - 3));
            case "weights of noise" -> Files.writeString(weights, "noise");
            case "no weights" -> Files.delete(weights);
            case "config of noise" -> Files.writeString(config, "{noise");
            default -> Files.writeString(config, "");
        }
        try (AdapterBank bank = bank()) {
            for (int time = 1; time < 3; time++) {
                assertThatThrownBy(() -> bank.output("b", input)).isInstanceOf(RuntimeException.class)
                        .isNotInstanceOf(UnknownAdapterException.class).hasMessageContaining("\"b\"");
                assertThat(metrics.count("notLoaded b")).isEqualTo(time);
            }
            requireAnswer(bank, "a", adapter);
            Files.write(weights, wholeWeights);
            Files.write(config, wholeConfig);

            requireAnswer(bank, "b", adapter);
            assertThat(bank.names()).isEqualTo(List.of("a", "b", "deep"));
        }
    }

    /** A caller who is interrupted spoils nothing for those who wait with it. */
    @Test
    void interruptedCallersLoadAllTheSame() {
        try (AdapterBank bank = bank()) {
            Thread.currentThread().interrupt();

            requireAnswer(bank, "a", adapter);

            assertThat(Thread.interrupted()).isTrue();
        }
    }

    @Test
    void aFolderWithoutAnAdapterIsBroken() {
        try (AdapterBank bank = bank()) {
            assertThatThrownBy(() -> bank.output("deep", input)).isNotInstanceOf(UnknownAdapterException.class)
                    .hasMessageContaining("\"deep\"");
        }
    }
}
