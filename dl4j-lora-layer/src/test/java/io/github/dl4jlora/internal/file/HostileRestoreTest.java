package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.stored.ModelZip;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Collections;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What DL4J's ModelSerializer believes or runs, {@link LoRA#restore} refuses or leaves alone. */
class HostileRestoreTest extends HostileParameters {

    private MultiLayerNetwork network;

    @BeforeEach
    void aSoundNetwork() throws IOException {
        network = Networks.trainedLayers();
        ModelSerializer.writeModel(network, file.toFile(), true);
        entries = Zips.read(file);
    }

    @Override
    int parameters() {
        return 83;
    }

    @Override
    void loadIsRefused(String... parts) {
        assertThatThrownBy(() -> LoRA.restore(file, true)).isInstanceOf(IOException.class)
                .hasMessageContaining("model.zip").hasMessageContainingAll(parts)
                .satisfies(e -> assertThat(e.getMessage().lines()).as("lines of the message").hasSize(1));
    }

    /** Java would take two to the power of 100 steps to deserialise it. */
    @Test
    void aPreprocessorIsNeverDeserialised() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        new ObjectOutputStream(bytes).writeObject(HostileObject.nested(100));
        entries.put(ModelSerializer.PREPROCESSOR_BIN, bytes.toByteArray());
        entries.put(ModelSerializer.NORMALIZER_BIN, bytes.toByteArray());
        Zips.write(file, entries);

        assertThat(LoRA.restore(file, true).params()).isEqualTo(network.params());
    }

    @Test
    void zerosBehindTheParametersAreNotUnpacked() throws IOException {
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry(CONFIGURATION));
            zip.write(entries.get(CONFIGURATION));
            Zips.putZeros(zip, COEFFICIENTS, entries.get(COEFFICIENTS), 200 << 20);
        }

        loadIsRefused(COEFFICIENTS, "followed by surplus");
    }

    /** Of a checkpoint whose base is not here nobody knows how large that was: what stands in for it must cost nothing. */
    @ParameterizedTest
    @CsvSource({"2000000000, 5", "9223372036854775807, 2"})
    void aMissingBaseOfAnySizeTakesNoMemory(long in, long out) throws IOException {
        missingBase(LoRA.apply(network, LoRAConfig.builder().rank(2).targets("fc1").build()));
        int frozen = configuration().indexOf("FrozenBaseLayer");
        configure(configuration().substring(0, frozen) + configuration().substring(frozen)
                .replaceFirst("(?s)\"nin\" : 5(.*?)\"nout\" : 5", "\"nin\" : " + in + "$1\"nout\" : " + out));
        Zips.write(file, entries);

        refusedOrWithout();
    }

    @Test
    void aMissingLstmOfAnySizeTakesNoMemory() throws IOException {
        missingBase(LoRA.apply(lstm(), LoRAConfig.builder().rank(1).targets("lstm/W").build()));
        configure(configuration().replace("\"nout\" : 4", "\"nout\" : 20000"));
        Zips.write(file, entries);

        refusedOrWithout();
    }

    private void missingBase(MultiLayerNetwork adapted) throws IOException {
        ModelSerializer.writeModel(adapted, file.toFile(), false);
        entries = Zips.read(file);
        configure(configuration().replaceAll("(\"id\" : \")....", "$1none"));
    }

    /** What this process has taken meanwhile, on Linux. */
    private void refusedOrWithout() throws IOException {
        long before = resident();
        try {
            LoRA.restore(file, true);
        } catch (IOException e) {
            assertThat(e).hasMessageContaining("model.zip");
        }
        assertThat(resident() - before).as("bytes").isLessThan(512L << 20);
    }

    private static long resident() throws IOException {
        java.nio.file.Path status = java.nio.file.Path.of("/proc/self/status");
        return !Files.exists(status) ? 0 : Files.readAllLines(status).stream().filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10).sum();
    }

    @Test
    void twoEntriesOfOneNameAreRefused() throws IOException {
        String twin = "c0nfiguration.json";
        entries.put(twin, "{}".getBytes(StandardCharsets.UTF_8));
        Zips.write(file, entries);
        String zip = Files.readString(file, StandardCharsets.ISO_8859_1).replace(twin, CONFIGURATION);
        Files.writeString(file, zip, StandardCharsets.ISO_8859_1);

        loadIsRefused("two entries \"configuration.json\"");
    }

    @Test
    void aListOfMoreEntriesThanANetworkHasIsNotRead() throws IOException {
        byte[] list = new byte[20 << 20];
        ByteBuffer end = ByteBuffer.allocate(22).order(ByteOrder.LITTLE_ENDIAN).putInt(0x06054b50).putLong(0).putInt(list.length)
                .putInt(0).putShort((short) 0);
        Files.write(file, joined(list, end.array()));

        loadIsRefused("lists so many entries");
    }

    /** As the same list has it that is too long for 32 bits. */
    @Test
    void aListWhoseLengthHas64BitsIsNotReadEither() throws IOException {
        int length = 20 << 20;
        ByteBuffer end = ByteBuffer.allocate(length + 56 + 20 + 22).order(ByteOrder.LITTLE_ENDIAN);
        end.position(length);
        end.putInt(0x06064b50).putLong(44).putInt(0).putLong(0).putLong(0).putLong(0).putLong(length).putLong(0);
        end.putInt(0x07064b50).putInt(0).putLong(length).putInt(1);
        end.putInt(0x06054b50).putLong(-1).putInt(-1).putInt(-1).putShort((short) 0);
        Files.write(file, end.array());

        loadIsRefused("lists so many entries");
    }

    @ParameterizedTest
    @ValueSource(ints = {6, 8})
    void encryptedAndStrangelyPackedEntriesAreRefused(int field) throws IOException {
        byte[] zip = Files.readAllBytes(file);
        ByteBuffer bytes = ByteBuffer.wrap(zip).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < zip.length - 46; i++) {
            if (bytes.getInt(i) == 0x02014b50) {
                // Flags follow the version in the list of entries, then the method.
                bytes.putShort(i + field + 2, (short) (field == 6 ? bytes.getShort(i + 8) | 1 : 99));
            }
        }
        Files.write(file, zip);

        loadIsRefused("damaged or not a saved network");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"'' | is empty", "version https://git-lfs.github.com/spec/v1 | git lfs pull",
            "<!DOCTYPE html> | a web page", "PK | not a saved network"})
    void filesThatAreSomethingElseSayWhat(String content, String what) throws IOException {
        Files.writeString(file, content);
        loadIsRefused(what);

        Files.write(file, new byte[] {0x1f, (byte) 0x8b, 8});
        loadIsRefused("gunzip");
    }

    /** DL4J parses the whole configuration again for each layer of an old format. */
    @Test
    void layersThatTakeDl4jLongAreRefused() throws IOException {
        configure("{\"confs\": [" + String.join(", ", Collections.nCopies(4000,
                "{\"layer\": {\"@class\": \"org.deeplearning4j.nn.conf.layers.DenseLayer\", \"nin\": 1, \"nout\": 1}}")) + "]}");
        refused("in an old format");

        configure("{\"confs\": [" + String.join(", ", Collections.nCopies(5001, "{\"layer\": {}}")) + "]}");
        refused("more than 5000 layers");
    }

    @Test
    void whatIsNoJsonIsSaidInOneLine() throws IOException {
        configure("{\n\"confs\": [\n");
        refused("configuration");

        configure("{\"confs\": [{\"layer\": null}]}");
        refused("configuration");
    }

    @Test
    void aCommonFileIsReadLayerByLayerAsCarefully() throws IOException {
        assertThatThrownBy(() -> ModelZip.restore(folder.toFile(), true)).isInstanceOf(IOException.class)
                .hasMessageContaining("is a folder, but a saved network is a file");
    }
}
