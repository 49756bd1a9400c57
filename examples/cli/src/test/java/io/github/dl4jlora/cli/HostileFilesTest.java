package io.github.dl4jlora.cli;

import io.github.dl4jlora.Zips;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Every command, given a file that should hurt it, says in one sentence what is wrong with which file, and writes nothing. */
@Tag("heavy")
class HostileFilesTest {

    private static final int TOLD = 1;
    private static final String TENSORS = "adapter_model.safetensors";

    /** Every command that reads a network, with the file in each place where one goes. */
    private static final List<String> NETWORKS = List.of("inspect @bad", "inspect @spam --base @bad",
            "inspect @checkpoint.zip --base @bad", "quantize --as int8 @bad -o @x", "quantize --as nf4 --mapped @bad -o @x",
            "plan @bad --batch 4", "apply @bad -o @x", "apply @bad @spam -o @x", "apply --quantize int8 @bad -o @x",
            "merge @bad -o @x", "merge @bad @spam -o @x", "merge @checkpoint.zip --base @bad -o @x", "export @bad -o @x",
            "export @checkpoint.zip --base @bad -o @x", "import @spam @bad -o @x", "extract @bad @base.zip --rank 1 -o @x",
            "extract @base.zip @bad --rank 1 -o @x", "report @bad @spam -o @x", "report @checkpoint.zip --base @bad -o @x");

    /** Every command that reads an adapter. */
    private static final List<String> ADAPTERS = List.of("inspect @bad", "apply @base.zip @bad -o @x",
            "merge @base.zip @bad -o @x", "import @bad @base.zip -o @x",
            "import --lenient --any-base @bad @base.zip -o @x", "combine @bad -o @x",
            "combine @spam @bad -o @x", "combine --method svd --compress 1 @bad -o @x", "report @base.zip @bad -o @x");

    @TempDir
    private Path folder;
    private Shell shell;

    @BeforeEach
    void soundOnes() throws IOException {
        shell = new Shell(folder);
        ModelSerializer.writeModel(Networks.layers(1), folder.resolve("base.zip").toFile(), true);
        ModelSerializer.writeModel(Networks.adapted(Networks.layers(1), 2, 1), folder.resolve("checkpoint.zip").toFile(), true);
        Networks.adapter(Networks.layers(1), 2, 1).save(folder.resolve("spam"));
    }

    static Stream<HostileNetwork> networks() {
        return Arrays.stream(HostileNetwork.values()).filter(HostileNetwork::isPossible);
    }

    @ParameterizedTest
    @MethodSource("networks")
    void bothReadersRefuseEveryNetwork(HostileNetwork hostile) throws Exception {
        hostile.make(folder.resolve("base.zip"), folder.resolve("bad"));
        refused(NETWORKS.get(0));
        refused(NETWORKS.get(3));
    }

    static Stream<HostileNetwork> someNetworks() {
        return networks().filter(List.of(HostileNetwork.PIPE, HostileNetwork.BOMB)::contains);
    }

    @ParameterizedTest
    @MethodSource("someNetworks")
    void everyCommandRefusesSomeNetworks(HostileNetwork hostile) throws Exception {
        everyCommandRefusesEveryNetwork(hostile);
    }

    @ParameterizedTest
    @MethodSource("networks")
    void everyCommandRefusesEveryNetwork(HostileNetwork hostile) throws Exception {
        hostile.make(folder.resolve("base.zip"), folder.resolve("bad"));
        for (String line : NETWORKS) {
            refused(line);
        }
    }

    static Stream<Arguments> adapters() {
        // Of the configuration the tensors' file has a copy, which counts where the other is no file.
        return Stream.concat(networks().filter(hostile -> !hostile.isZip()).map(hostile -> Arguments.of(TENSORS, hostile)),
                Stream.of(HostileNetwork.EMPTY, HostileNetwork.NO_ZIP, HostileNetwork.GZIP)
                        .map(hostile -> Arguments.of("adapter_config.json", hostile)));
    }

    @ParameterizedTest
    @MethodSource("adapters")
    void everyCommandRefusesTheAdapter(String part, HostileNetwork hostile) throws Exception {
        Networks.adapter(Networks.layers(1), 2, 1).save(folder.resolve("bad"));
        Path file = folder.resolve("bad").resolve(part);
        Files.delete(file);
        hostile.make(folder.resolve("spam").resolve(TENSORS), file);
        for (String line : ADAPTERS) {
            refused(line);
        }
    }

    private void refused(String line) throws IOException {
        List<String> before = listing();

        assertThat(shell.run(line.split(" "))).as("%s: %s%s", line, shell.out(), shell.err()).isEqualTo(TOLD);

        assertThat(shell.err().lines()).as(line).hasSize(1);
        assertThat(shell.err()).as(line).startsWith("dl4j-lora " + line.split(" ")[0] + ": ").contains("bad")
                .doesNotContain("internal error", "Memory ran out", "\tat ");
        assertThat(shell.out()).as(line).isEmpty();
        assertThat(listing()).as(line).isEqualTo(before);
    }

    private List<String> listing() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.map(Path::toString).sorted().toList();
        }
    }

    /** What is no part of the network is neither run nor carried along. */
    @Test
    void anObjectBesideTheNetworkIsNotRead() throws IOException {
        Map<String, byte[]> entries = Zips.read(folder.resolve("base.zip"));
        entries.put("preprocessor.bin", HostileNetwork.serialised());
        entries.put("../../escaped.txt", new byte[1]);
        Zips.write(folder.resolve("object.zip"), entries);

        assertThat(shell.run("inspect", "@object.zip")).as(shell.err()).isZero();
        assertThat(shell.run("merge", "@object.zip", "@spam", "-o", "@plain.zip")).as(shell.err()).isZero();
        assertThat(Zips.read(folder.resolve("plain.zip"))).doesNotContainKeys("preprocessor.bin", "../../escaped.txt");
    }

    @ParameterizedTest
    @EnumSource(names = {"ENDLESS", "PIPE", "LOOP", "FOLDER", "EMPTY", "WEB_PAGE"})
    @EnabledOnOs(OS.LINUX)
    void scoresAreReadAsCarefully(HostileNetwork hostile) throws Exception {
        hostile.make(folder.resolve("base.zip"), folder.resolve("bad"));
        refused("report @base.zip @spam --scores @bad -o @x");

        Files.deleteIfExists(folder.resolve("bad"));
        Files.writeString(folder.resolve("bad"), "1\t0.5\n2" + " ".repeat(200_000) + "x\n");
        refused("report @base.zip @spam --scores @bad -o @x");
    }

    /** A C library that trusts its files is for files that are called so. */
    @Test
    void aKerasFileIsNotReadUnawares() throws IOException {
        Files.copy(Path.of("../../dl4j-lora-layer/src/test/resources/keras/characters.h5"), folder.resolve("bad"));
        for (String line : NETWORKS) {
            refused(line);
        }
    }
}
