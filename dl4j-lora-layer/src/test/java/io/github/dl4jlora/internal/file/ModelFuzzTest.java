package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.Damage;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Zips;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Files of whole networks with random damage, to the zip or to what is in its entries: each loads as some network or is
 * refused with an IOException that names the file.
 */
class ModelFuzzTest {

    static final String[] TOKENS = {"{", "}", "[", "]", ",", ":", "\"", "null", "true", "-1", "0", "1", "2", "5",
            "99999999999",
        "9223372036854775807", "1e999", "1.5", "\"fc1\"", "\"nin\" : 1000000000", "\"nout\" : 1000000000",
        "\"rank\" : 1000000000",
        "\"frozen\" : ", "\"id\" : \"0\"", "\"@class\" : \"java.lang.Object\"",
        "\"@class\" : \"org.deeplearning4j.nn.conf.layers.LSTM\"",
        "\"vertexInputs\"", "MIXED_DATA_TYPES", "LONG_SHAPE", "COMPRESSED", "DOUBLE", "FLOAT W[", "\0\0\0\0",
        "\u007f\u007f\u007f"};
    /** Of a binary entry: its headers. */
    static final int HEADERS = 120;

    @TempDir
    Path temporary;
    private Path folder;
    private Path file;

    @BeforeEach
    void place() throws IOException {
        // Where there is a memory-backed folder the campaign costs no disk.
        Path memory = Path.of("/dev/shm");
        folder = Files.isWritable(memory) ? Files.createTempDirectory(memory, "dl4j-lora-fuzz") : temporary;
        file = folder.resolve("model.zip");
    }

    @AfterEach
    void clean() throws IOException {
        Files.deleteIfExists(file);
        if (!folder.equals(temporary)) {
            Files.delete(folder);
        }
    }

    @Test
    void damageIsRefusedOrHarmless() throws IOException {
        campaign(31, 200);
    }

    @Test
    @Tag("heavy")
    void muchDamageIsRefusedOrHarmless() throws IOException {
        campaign(32, 4_000);
    }

    /** @param mutations of each kind of file */
    private void campaign(long seed, int mutations) throws IOException {
        for (Kind kind : Kind.values()) {
            Model adapted = kind.adapt(kind.base());
            Models.fit(adapted, 1);
            LoRA.save(adapted, file, true);
            byte[] whole = Files.readAllBytes(file);
            Map<String, byte[]> entries = Zips.read(file);
            List<String> names = List.copyOf(entries.keySet());
            Random random = new Random(seed);
            int refused = 0;
            for (int i = 0; i < mutations; i++) {
                if (random.nextInt(4) == 0) {
                    Files.write(file, Damage.to(whole, whole.length, TOKENS, random));
                } else {
                    String name = random.nextBoolean() ? ModelSerializer.CONFIGURATION_JSON
                            : names.get(random.nextInt(names.size()));
                    Map<String, byte[]> damaged = new LinkedHashMap<>(entries);
                    byte[] entry = entries.get(name);
                    damaged.put(name, Damage.to(entry, name.endsWith(".json") ? entry.length
                            : Math.min(HEADERS, entry.length), TOKENS, random));
                    Zips.write(file, damaged);
                }
                refused += isRefused(kind, "mutation " + i + " of seed " + seed + " to " + kind) ? 1 : 0;
            }
            assertThat(refused).as("%s refused", kind).isBetween(mutations / 4, mutations - 1);
        }
    }

    private boolean isRefused(Kind kind, String description) {
        try {
            Model network = kind.load(file);
            assertThat(network instanceof ComputationGraph).isEqualTo(kind.graph);
            return false;
        } catch (IOException e) {
            assertThat(e).as(description).hasMessageContaining("model.zip");
            return true;
        } catch (Throwable e) {
            throw new AssertionError(description + ": load failed with " + e, e);
        }
    }
}
