package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Zips;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** JSON without end, numbers without end, classes that are no layers, Java objects: refused before they are made. */
class HostileJsonTest extends HostileFile {

    @ParameterizedTest
    @ValueSource(strings = {CONFIGURATION, INDEX})
    void jsonThatIsNestedWithoutEndIsRefused(String entry) throws IOException {
        entries.put(entry, "{\"a\":".concat("[".repeat(1 << 20)).getBytes(StandardCharsets.UTF_8));

        refused("is nested more than");
    }

    @ParameterizedTest
    @ValueSource(strings = {CONFIGURATION, INDEX})
    void jsonOfAbsurdLengthIsRefused(String entry) throws IOException {
        entries.remove(entry);
        Zips.write(file, entries);
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            for (Map.Entry<String, byte[]> other : entries.entrySet()) {
                zip.putNextEntry(new ZipEntry(other.getKey()));
                zip.write(other.getValue());
            }
            Zips.putZeros(zip, entry, "{".getBytes(StandardCharsets.UTF_8), 1L << 25);
        }

        loadIsRefused("is longer than 16777216 bytes");
    }

    @Test
    void numbersOfAMillionDigitsAreRefused() throws IOException {
        configure(configuration().replaceFirst("\"rank\" : 2", "\"rank\" : " + "9".repeat(1 << 20)));

        refused("a number of 1048576 digits");
    }

    /** Each is looked for, which may read an array as long as the file. */
    @Test
    void moreLayersThatTrainInFullThanANetworkHasAreRefused() throws IOException {
        String record = IntStream.rangeClosed(0, 5_000).mapToObj(i -> "\"" + i + "\":{\"id\":\"0\",\"signature\":\"FLOAT W[1]\"}")
                .collect(Collectors.joining(",", "\"trainedInFull\" : {", "}"));
        assertThat(configuration()).contains("\"trainedInFull\" : { }");
        configure(configuration().replaceFirst("\"trainedInFull\" : \\{ }", record));

        refused("records more than 5000 layers that train in full");
    }

    @Test
    void boundingBoxesOfTheOldFormatDeclareNoMoreThanTheyHold() throws IOException {
        configure(configuration().replaceFirst("\\{", "{\"boxes\":{\"dataBuffer\":[],\"numElements\":2000000000},"));

        refused("declares an array of 2000000000 numbers");
    }

    /** Something that says whether it was ever read. */
    public static final class Payload implements Serializable {

        private static final long serialVersionUID = 1L;
        private static boolean ran;

        private void readObject(ObjectInputStream in) {
            ran = true;
        }
    }

    /** DL4J's own reader deserialises this entry. */
    @Test
    void noJavaObjectIsDeserialised() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(new Payload());
        }
        entries.put(ModelSerializer.PREPROCESSOR_BIN, bytes.toByteArray());
        entries.put(ModelSerializer.NORMALIZER_BIN, bytes.toByteArray());
        Zips.write(file, entries);

        LoRA.loadComputationGraph(file);

        assertThat(Payload.ran).isFalse();
        assertThatThrownBy(() -> ModelSerializer.restoreComputationGraph(file.toFile())).isInstanceOf(ClassCastException.class);
        assertThat(Payload.ran).isTrue();
    }

    @ParameterizedTest
    @ValueSource(strings = {"java.lang.Runtime", "no.such.Layer", "org.deeplearning4j.nn.conf.layers.Layer"})
    void classesThatAreNoLayersAreRefused(String name) throws IOException {
        configure(configuration().replace("io.github.dl4jlora.layer.LoRADenseLayer", name));

        refused("cannot be restored");
    }

    @Test
    void layersThatHoldThemselvesWithoutEndAreRefused() throws IOException {
        String layer = "{\"@class\":\"org.deeplearning4j.nn.conf.layers.misc.FrozenLayer\",\"layer\":";
        configure("{\"vertexInputs\":{},\"vertices\":{\"a\":{\"@class\":\"org.deeplearning4j.nn.conf.graph.LayerVertex\","
                + "\"layerConf\":{\"layer\":" + layer.repeat(100_000));

        refused("is nested more than");
    }
}
