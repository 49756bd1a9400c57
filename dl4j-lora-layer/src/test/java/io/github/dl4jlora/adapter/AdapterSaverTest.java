package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
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

    @Test
    void aZipMayHaveBackslashesBetweenFolders() throws IOException {
        adapter.save(folder);
        LoRAAdapter loaded = LoRAAdapter.loader().load(new ByteArrayInputStream(zip("task\\")));

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
            refused(zip(""), "The stream is a zip without adapter_model.safetensors; an adapter's stream is a zip of");
        } finally {
            System.setProperty("java.io.tmpdir", shared);
        }
        assertThat(temporary).isEmptyDirectory();
    }

    private static void refused(byte[] stream, String reason) {
        assertThatThrownBy(() -> LoRAAdapter.loader().load(new ByteArrayInputStream(stream)))
                .isInstanceOf(AdapterFormatException.class).hasMessageContaining(reason);
    }

    /** What {@code AutoPeftModelFor…} looks at; of an auto_mapping it would take the class. */
    @Test
    void modelAndTaskAreWrittenAndKept() throws IOException {
        adapter.save(folder);
        JsonNode unnamed = AdapterFiles.config(folder);
        for (String field : List.of("auto_mapping", "base_model_name_or_path", "task_type")) {
            assertThat(unnamed.has(field) && unnamed.path(field).isNull()).as(field).isTrue();
        }
        assertThat(unnamed.path("peft_version").asText()).as("a version by PEP 440")
                .matches("[0-9]+(\\.[0-9]+)*\\+[a-z0-9]+([-_.][a-z0-9]+)*");

        Path named = folder.resolve("named");
        adapter.saver().keyMapper(layer -> layer.equals("out") ? "classifier.out_proj" : layer).baseModel("roberta-base")
                .taskType("SEQ_CLS").save(named);
        LoRAAdapter.load(named).save(folder);

        for (Path saved : List.of(named, folder)) {
            JsonNode config = AdapterFiles.config(saved);
            assertThat(config.path("base_model_name_or_path").asText()).isEqualTo("roberta-base");
            assertThat(config.path("task_type").asText()).isEqualTo("SEQ_CLS");
            assertThat(config.path("modules_to_save").toString()).as("PEFT copies the head as a whole")
                    .isEqualTo("[\"classifier\"]");
            assertThat(LoRAAdapter.load(saved).trainedLayers()).containsExactly("classifier.out_proj");
        }
    }

    @Test
    void aTaskThatPeftLacksOrWhoseHeadIsAdaptedIsRefused() throws IOException {
        assertThatThrownBy(() -> adapter.saver().taskType("CLASSIFY")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"CLASSIFY\"", "SEQ_CLS");
        UnaryOperator<String> intoHead = layer -> layer.equals("fc1") ? "classifier.dense" : layer;
        assertThatThrownBy(() -> adapter.saver().keyMapper(intoHead).taskType("TOKEN_CLS").save(folder))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("TOKEN_CLS", "[classifier, score]", "[classifier.dense]");

        adapter.saver().taskType("TOKEN_CLS").baseModel("b").save(folder);
        LoRAAdapter.load(folder).saver().keyMapper(intoHead).save(folder);

        assertThat(AdapterFiles.config(folder).path("task_type").isNull()).as("a task that was not asked for").isTrue();
        assertThat(AdapterFiles.config(folder).path("base_model_name_or_path").asText()).isEqualTo("b");
    }

    /** It keeps the fields that it knows, and writes its own names and metadata. */
    @Test
    void whatPeftWritesAnewIsPefts() throws IOException {
        adapter.save(folder);
        JsonNode config = AdapterFiles.config(folder);
        AdapterFiles.writePeft(folder, config.toString().replace("\"bias\":\"all\"", "\"bias\":\"none\"")
                .replace("[\"model.out\"]", "null"), new float[2][6], new float[5][2]);

        assertThat(LoRAAdapter.load(folder).layers()).as("not all targets are asked for").containsExactly("fc1");
    }
}
