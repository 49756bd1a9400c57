package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterSaverTest {

    @TempDir
    private Path folder;
    private final LoRAAdapter adapter =
            Adapters.on(Networks.trainedGraph(), LoRAConfig.builder().rank(2).trainable("out").bias("all"), 1);

    @Test
    void layersAreCalledAsPythonCallsThem() throws IOException {
        Map<String, String> modules = Map.of("fc1", "encoder.dense", "fc2", "encoder.proj", "out", "head");
        adapter.saver().keyMapper(modules::get).save(folder);

        LoRAAdapter theirs = LoRAAdapter.load(folder);
        assertThat(theirs.layers()).containsExactly("encoder.dense", "encoder.proj");
        assertThat(theirs.trainedLayers()).containsExactly("head");
        assertThat(theirs.baseId("encoder.dense")).isEqualTo(adapter.baseId("fc1"));
        Map<String, String> layers = Map.of("encoder.dense", "fc1", "encoder.proj", "fc2", "head", "out");
        LoRAAdapter back = LoRAAdapter.loader().keyMapper(layers::get).load(folder);
        assertThat(back.deltaWeight("fc2")).isEqualTo(adapter.deltaWeight("fc2"));
        assertThat(back.trainedLayers()).containsExactly("out");
    }

    @Test
    void layersMayBeLeftOutButNotAllOrTwoOfOneName() throws IOException {
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            adapter.saver().keyMapper(layer -> layer.equals("fc1") ? "a" : null).save(folder);

            assertThat(log.messages()).anySatisfy(message -> assertThat(message).contains("has no name for [fc2, out]"));
        }
        assertThat(LoRAAdapter.load(folder).layers()).containsExactly("a");
        assertThat(LoRAAdapter.load(folder).trainedLayers()).isEmpty();

        assertThatThrownBy(() -> adapter.saver().keyMapper(layer -> null).save(folder))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("[fc1, fc2]");
        assertThatThrownBy(() -> adapter.saver().keyMapper(layer -> "a").save(folder))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("\"fc1\" and \"fc2\" to the same name, \"a\"");
        assertThat(LoRAAdapter.load(folder).layers()).containsExactly("a");
    }

    @Test
    void aStreamHoldsTheWholeAdapter() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        adapter.saver().save(out);

        LoRAAdapter loaded = LoRAAdapter.loader().load(new ByteArrayInputStream(out.toByteArray()));

        assertThat(loaded.layers()).isEqualTo(adapter.layers());
        assertThat(loaded.deltaWeight("fc1")).isEqualTo(adapter.deltaWeight("fc1"));
        assertThat(loaded.content().trained()).isEqualTo(adapter.content().trained());
    }

    @Test
    void aFolderThatSomebodyZippedIsReadToo() throws IOException {
        adapter.save(folder);
        LoRAAdapter loaded = LoRAAdapter.loader().load(new ByteArrayInputStream(zip("checkpoints/../last/", "notes.txt")));

        assertThat(loaded.deltaWeight("fc1")).isEqualTo(adapter.deltaWeight("fc1"));
    }

    private byte[] zip(String place, String... more) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes); Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                zip.putNextEntry(new ZipEntry(place + file.getFileName()));
                zip.write(Files.readAllBytes(file));
            }
            for (String name : more) {
                zip.putNextEntry(new ZipEntry(name));
                zip.write(1);
            }
        }
        return bytes.toByteArray();
    }

    @Test
    void whatIsNoSuchStreamIsRefusedAndNothingIsLeftBehind(@TempDir Path temporary) throws IOException {
        adapter.save(folder);
        byte[] whole = zip("");

        // Other JVMs load streams in the system's.
        String shared = System.setProperty("java.io.tmpdir", temporary.toString());
        try {
            refused(new byte[0], "is not a zip");
            refused("no zip".getBytes(), "is not a zip");
            refused(zip("", "a/adapter_config.json"), "two files called adapter_config.json");
            refused(java.util.Arrays.copyOf(whole, whole.length / 2), "damaged zip");
            Files.delete(folder.resolve(AdapterFiles.TENSORS));
            refused(zip(""), "adapter_model.safetensors does not exist");
        } finally {
            System.setProperty("java.io.tmpdir", shared);
        }
        assertThat(temporary).isEmptyDirectory();
    }

    private static void refused(byte[] stream, String reason) {
        assertThatThrownBy(() -> LoRAAdapter.loader().load(new ByteArrayInputStream(stream)))
                .isInstanceOf(AdapterFormatException.class).hasMessageContaining(reason);
    }
}
