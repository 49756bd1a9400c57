package io.github.dl4jlora.bank;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.github.dl4jlora.LogCapture;
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
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

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
            assertThatThrownBy(() -> bank.output(name, input)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("\"" + AdapterName.shown(name) + "\"");
            assertThat(bank.status().adapters()).isZero();
        }
    }

    @Test
    void normalNamesOnly() {
        String absolute = place.resolve("outside").toAbsolutePath().toString();
        try (AdapterBank bank = bank()) {
            assertThatThrownBy(() -> bank.output(absolute, input)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> bank.output("x".repeat(100_000), input)).isInstanceOf(IllegalArgumentException.class)
                    .satisfies(e -> assertThat(e.getMessage()).startsWith("An adapter cannot be called \"xxx")
                            .hasSizeLessThan(500));
            assertThat(bank.names()).containsExactly("a");
            requireAnswer(bank, "a", adapter);
        }
    }

    @Test
    void aFolderOfTheBasesNameIsNoAdapter() throws IOException {
        adapter.save(folder.resolve(AdapterBank.BASE));
        try (AdapterBank bank = bank()) {
            assertThat(bank.names()).containsExactly("a");
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
    @ValueSource(strings = {"weights cut off", "weights of noise", "no weights", "config of noise", "config empty",
        "no config"})
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
            case "no config" -> Files.delete(config);
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
            assertThat(bank.names()).isEqualTo(List.of("a", "b"));
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

    /** Those that it can serve, and once for each other why not. */
    @Test
    void whatCannotBeServedIsNotListedAndSaidOnce() throws IOException {
        String leftover = "a.7f0c1f0e-6a54-4f7e-9a0e-2d6f3f0b9f11.tmp";
        List<String> bad = List.of("x:0.5", "a + b", "__base__", "__BASE__", leftover, "new\nline", "q\"x'<b>", "aux",
                "u\u0308ber");
        List<String> good = List.of("0.5", "1", "1e3", "a b", "spam (2)",
                "\u00fcmlaut", "\u65e5\u672c\u8a9e", "\u0939\u093f\u0928\u094d\u0926\u0940");
        for (String name : bad) {
            adapter.save(folder.resolve(name));
        }
        for (String name : good) {
            adapter.save(folder.resolve(name));
        }
        Files.createDirectories(folder.resolve("half"));
        Files.copy(folder.resolve("a").resolve("adapter_config.json"), folder.resolve("half").resolve("adapter_config.json"));
        try (AdapterBank bank = bank(); LogCapture log = LogCapture.ofLibrary()) {
            List<String> listed = Stream.concat(Stream.of("a"), good.stream()).sorted().toList();
            assertThat(bank.names()).isEqualTo(listed);
            assertThat(bank.names()).isEqualTo(listed);
            for (String name : Stream.concat(bad.stream(), Stream.of("half", "deep")).toList()) {
                String told = "\"" + AdapterName.shown(name) + "\", which is not listed";
                assertThat(log.messages().stream().filter(line -> line.contains(told))).as(name).hasSize(1);
            }
            assertThat(log.messages()).hasSize(bad.size() + 2).noneMatch(line -> line.contains("hidden"))
                    .anyMatch(line -> line.contains("\"half\"") && line.contains("lacks the file adapter_model.safetensors"));
            for (String name : bad) {
                if (!name.equals(AdapterBank.BASE)) {
                    assertThatThrownBy(() -> bank.output(name, input)).isInstanceOf(IllegalArgumentException.class)
                            .hasMessageContaining("cannot be called");
                }
            }
            for (String name : good) {
                requireAnswer(bank, name, adapter);
                assertThat(Networks.difference(bank.output(AdapterMix.parse(name + ":0"), input), base.output(input)))
                        .isLessThan(1e-6);
            }
            adapter.save(folder.resolve("half"));
            assertThat(bank.names()).as("it is whole now").contains("half");
        }
    }

    /** A folder elsewhere, under the link's name alone. */
    /** Where files are replaced one by one, and somebody ended that before the last had its name. */
    @Test
    void whatAnInterruptedSaveLeftIsListedAsItIsRead() throws IOException {
        Path config = folder.resolve("a").resolve("adapter_config.json");
        Files.move(config, config.resolveSibling("." + config.getFileName() + "." + UUID.randomUUID() + ".tmp"));

        try (AdapterBank bank = bank()) {
            assertThat(bank.names()).containsExactly("a");
            requireAnswer(bank, "a", adapter);
        }
    }

    @Test
    void aLinkIsAnAdapterByItsOwnName() throws IOException {
        try {
            Files.createSymbolicLink(folder.resolve("link"), place.resolve("outside"));
        } catch (UnsupportedOperationException | IOException e) {
            assumeTrue(false, "links cannot be made here: " + e);
        }
        try (AdapterBank bank = bank()) {
            assertThat(bank.names()).containsExactly("a", "link");
            requireAnswer(bank, "link", adapter);
            assertThatThrownBy(() -> bank.output("outside", input)).isInstanceOf(UnknownAdapterException.class);
        }
    }

    /** macOS and Windows find a folder by a name of another case, too: it is an adapter of the one name alone. */
    @ParameterizedTest
    @ValueSource(strings = {"Linux", "macOS", "Windows"})
    void upperAndLowerCaseDifferOnEverySystem(String system) throws IOException {
        try (FileSystem files = Jimfs.newFileSystem("Linux".equals(system) ? Configuration.unix()
                : "macOS".equals(system) ? Configuration.osX() : Configuration.windows())) {
            Path adapters = files.getPath("adapters");
            Files.createDirectories(adapters.resolve("Spam"));
            for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
                Files.copy(folder.resolve("a").resolve(file), adapters.resolve("Spam").resolve(file));
            }
            Files.writeString(adapters.resolve("file"), "no folder");
            AdapterSource source = AdapterSource.folder(adapters);

            assertThat(source.names()).containsExactly("Spam");
            assertThat(source.load("Spam").orElseThrow().layers()).isEqualTo(adapter.layers());
            assertThat(source.load("spam")).isEmpty();
            assertThat(source.load("SPAM")).isEmpty();
            assertThat(source.load("file")).isEmpty();
            assertThat(source.load("C:Spam")).isEmpty();
        }
    }
}
