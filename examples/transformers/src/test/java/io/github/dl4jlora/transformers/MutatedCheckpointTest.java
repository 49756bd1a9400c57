package io.github.dl4jlora.transformers;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * Folders in which one value, or one byte, is another: they are read, or end in one sentence that names the folder. What is heavy
 * tries every one, the others one in some.
 */
class MutatedCheckpointTest {

    private static final String MEAN = "{\"word_embedding_dimension\": 8, \"pooling_mode_mean_tokens\": true, "
            + "\"pooling_mode_cls_token\": false, \"include_prompt\": true}";
    private static final String MODULES = "[{\"path\": \"\", \"type\": \"sentence_transformers.models.Transformer\"}, "
            + "{\"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}]";
    private static final int EVERY = 1;
    /** Has no divisor with the number of values that {@link MutatedJson} knows, so that each comes in turn. */
    private static final int SOME = 13;

    @TempDir
    Path folder;
    private int refused;
    private int read;

    private interface Ask {
        Object of(Checkpoint checkpoint) throws IOException;
    }

    private void assertReadOrRefused(String what) {
        assertReadOrRefused(Checkpoint::model, what);
    }

    /** Asks for what looks at files. Nothing of what they claim has to be made for that. */
    private void assertReadOrRefused(Ask ask, String what) {
        try {
            ask.of(Checkpoint.open(folder));
            read++;
        } catch (CheckpointException e) {
            refused++;
            assertThat(e.getMessage()).as(what).contains(folder.toString()).hasSizeLessThan(1500).doesNotContain("\n");
        } catch (IOException | RuntimeException | Error e) {
            throw new AssertionError(what, e);
        }
    }

    private void write(String file, byte[] bytes) {
        try {
            Files.write(folder.resolve(file), bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void assertReadOrRefusedWithValuesChanged(String file, Ask ask, int step) throws IOException {
        byte[] original = Files.readAllBytes(folder.resolve(file));
        new MutatedJson(new String(original, StandardCharsets.UTF_8)).forEach(MutatedJson.VALUES, step, (text, what) -> {
            write(file, text.getBytes(StandardCharsets.UTF_8));
            assertReadOrRefused(ask, file + ": " + what);
        });
        for (int length = 0; length < original.length; length += step) {
            write(file, Arrays.copyOf(original, length));
            assertReadOrRefused(ask, file + " is cut after " + length + " bytes");
        }
        write(file, original);
        assertThat(refused).as("refused, of %s that were read", read).isGreaterThan(100 / step);
    }

    private void assertReadOrRefusedWithChangedConfiguration(String name, int step) throws IOException {
        ChangedFolder.of(name, folder);
        assertReadOrRefusedWithValuesChanged("config.json", Checkpoint::model, step);
    }

    @ParameterizedTest
    @ValueSource(strings = {"bert-lm-old", "roberta-classifier", "distilbert-lm", "gpt2-lm", "gpt2-lm-untied", "mpnet-lm-untied"})
    void valuesOfTheConfiguration(String name) throws IOException {
        assertReadOrRefusedWithChangedConfiguration(name, SOME);
    }

    @Tag("heavy")
    @ParameterizedTest
    @ValueSource(strings = {"bert-lm-old", "roberta-classifier", "distilbert-lm", "gpt2-lm", "gpt2-lm-untied", "mpnet-lm-untied"})
    void everyValueOfTheConfiguration(String name) throws IOException {
        assertReadOrRefusedWithChangedConfiguration(name, EVERY);
    }

    private void assertReadOrRefusedWithChangedModules(int step) throws IOException {
        ChangedFolder.of("bert-lm-old", folder);
        Files.createDirectories(folder.resolve("1_Pooling"));
        write("modules.json", MODULES.getBytes(StandardCharsets.UTF_8));
        write("1_Pooling/config.json", MEAN.getBytes(StandardCharsets.UTF_8));
        write("config_sentence_transformers.json", "{\"prompts\": {\"a\": \"b\"}, \"default_prompt_name\": \"a\"}"
                .getBytes(StandardCharsets.UTF_8));

        assertReadOrRefusedWithValuesChanged("modules.json", Checkpoint::sentenceEncoder, step);
        assertReadOrRefusedWithValuesChanged("1_Pooling/config.json", Checkpoint::sentenceEncoder, step);
        assertReadOrRefusedWithValuesChanged("config_sentence_transformers.json", Checkpoint::sentenceEncoder, step);
    }

    @Test
    void valuesOfTheModulesOfSentenceTransformers() throws IOException {
        assertReadOrRefusedWithChangedModules(SOME);
    }

    @Tag("heavy")
    @Test
    void everyValueOfTheModulesOfSentenceTransformers() throws IOException {
        assertReadOrRefusedWithChangedModules(EVERY);
    }

    private void assertReadOrRefusedWithChangedIndex(int step) throws IOException {
        ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder);
        changed.shards(index -> { });
        assertReadOrRefusedWithValuesChanged("model.safetensors.index.json", Checkpoint::model, step);
    }

    @Test
    void valuesOfTheIndex() throws IOException {
        assertReadOrRefusedWithChangedIndex(SOME);
    }

    @Tag("heavy")
    @Test
    void everyValueOfTheIndex() throws IOException {
        assertReadOrRefusedWithChangedIndex(EVERY);
    }

    /** As long as the header's claims fit the file, other claims are as good. */
    private void assertReadOrRefusedWithChangedHeader(int step) throws IOException {
        ChangedFolder.of("roberta-classifier", folder);
        byte[] file = Files.readAllBytes(folder.resolve("model.safetensors"));
        int length = (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
        byte[] data = Arrays.copyOfRange(file, 8 + length, file.length);
        new MutatedJson(new String(file, 8, length, StandardCharsets.UTF_8)).forEach(MutatedJson.SOME, step, (text, what) -> {
            byte[] header = text.getBytes(StandardCharsets.UTF_8);
            write("model.safetensors", ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(header.length).put(header).put(data).array());
            assertReadOrRefused("model.safetensors: " + what);
        });
        assertThat(refused).isGreaterThan(1000 / step);
    }

    @Test
    void valuesOfTheHeaderOfTensors() throws IOException {
        assertReadOrRefusedWithChangedHeader(SOME);
    }

    @Tag("heavy")
    @Test
    void everyValueOfTheHeaderOfTensors() throws IOException {
        assertReadOrRefusedWithChangedHeader(EVERY);
    }

    private void assertReadOrRefusedWithABitOfTheHeaderChanged(int step) throws IOException {
        ChangedFolder.of("gpt2-lm", folder);
        byte[] file = Files.readAllBytes(folder.resolve("model.safetensors"));
        int end = 8 + (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
        for (int at = 0; at < end; at += step) {
            byte original = file[at];
            file[at] ^= (byte) (1 << at % 8);
            write("model.safetensors", file);
            assertReadOrRefused("model.safetensors: a bit of byte " + at);
            file[at] = original;
        }
        assertThat(refused).isGreaterThan(end / 2 / step);
        for (int length = 0; length < file.length; length += 101 * step) {
            write("model.safetensors", Arrays.copyOf(file, length));
            assertReadOrRefused("model.safetensors is cut after " + length + " bytes");
        }
    }

    @Test
    void bytesOfTheHeaderOfTensors() throws IOException {
        assertReadOrRefusedWithABitOfTheHeaderChanged(SOME);
    }

    @Tag("heavy")
    @Test
    void everyByteOfTheHeaderOfTensors() throws IOException {
        assertReadOrRefusedWithABitOfTheHeaderChanged(EVERY);
    }

    @Test
    void whatGitLeavesWithoutLargeFilesIsNamed() throws IOException {
        byte[] pointer = ("version https://git-lfs.github.com/spec/v1\noid sha256:" + "4".repeat(64) + "\nsize 12345\n")
                .getBytes(StandardCharsets.UTF_8);
        for (String file : new String[] {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
            ChangedFolder changed = ChangedFolder.of("gpt2-lm", Files.createDirectories(folder.resolve(file + ".case")));
            if (file.endsWith("index.json")) {
                changed.shards(index -> { });
            }
            Files.write(changed.path().resolve(file), pointer);
            assertThatThrownBy(() -> Checkpoint.open(changed.path())).as(file).isInstanceOf(CheckpointException.class)
                    .hasMessageContainingAll(file, "Git LFS", "git lfs pull");
        }
        for (String file : new String[] {"tokenizer.json", "modules.json", "1_Pooling/config.json",
            "config_sentence_transformers.json"}) {
            ChangedFolder changed = ChangedFolder.of("gpt2-lm", Files.createDirectories(folder.resolve(
                    file.replace('/', '.') + ".case")));
            Files.createDirectories(changed.path().resolve("1_Pooling"));
            if (file.startsWith("config")) {
                Files.writeString(changed.path().resolve("1_Pooling/config.json"), MEAN);
                Files.writeString(changed.path().resolve("modules.json"), MODULES);
            }
            Files.write(changed.path().resolve(file), pointer);
            Checkpoint opened = Checkpoint.open(changed.path());
            assertThatThrownBy(file.startsWith("tokenizer") ? opened::tokenizer : opened::sentenceEncoder).as(file)
                    .isInstanceOf(CheckpointException.class).hasMessageContainingAll(file, "Git LFS", "git lfs pull");
        }
    }

    @Test
    void sizesAreRefusedBeforeAnythingOfThemIsMade() throws IOException {
        ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder);
        changed.config(config -> config.put("n_layer", 513));
        changed.tensors(all -> {
            for (int layer = 2; layer < 513; layer++) {
                all.put("transformer.h." + layer + ".mlp.c_fc.weight", all.get("transformer.h.0.mlp.c_fc.weight"));
            }
        });
        assertThatThrownBy(() -> Checkpoint.open(folder)).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("config.json", "513 layers", "at most 512");

        try (RandomAccessFile file = new RandomAccessFile(changed.tensorFile().toFile(), "rw")) {
            file.writeLong(Long.reverseBytes(20_000_001));
            file.setLength(30_000_000);
        }
        assertThatThrownBy(() -> Checkpoint.open(folder)).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("model.safetensors", "claims 20000001 bytes", "at most 20000000");

        changed.configText("{\"a\": [" + "{},".repeat(2_000_000) + "{}]}");
        assertThatThrownBy(() -> Checkpoint.open(folder)).isInstanceOf(CheckpointException.class)
                .hasMessageContainingAll("config.json", "longer than");
    }

    @Test
    @DisabledOnOs(OS.WINDOWS)
    void whatIsNoFileIsNotRead() throws Exception {
        for (String file : new String[] {"config.json", "model.safetensors"}) {
            ChangedFolder changed = ChangedFolder.of("gpt2-lm", folder.resolve(file + ".case"));
            Path path = changed.path().resolve(file);
            Files.delete(path);
            assertThat(new ProcessBuilder("mkfifo", path.toString()).start().waitFor()).isZero();
            assertThatThrownBy(() -> Checkpoint.open(changed.path())).isInstanceOf(CheckpointException.class)
                    .hasMessageContainingAll(path.toString(), "not a file");
            Files.delete(path);
            Files.createDirectory(path);
            assertThatThrownBy(() -> Checkpoint.open(changed.path())).isInstanceOf(CheckpointException.class)
                    .hasMessageContainingAll(path.toString(), "not a file");
        }
    }
}
