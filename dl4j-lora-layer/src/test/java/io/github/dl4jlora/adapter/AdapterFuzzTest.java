package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Damage;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Adapter files with random damage: each loads as some well-formed adapter or is refused with an AdapterFormatException,
 * and an adapter is taken by a network whole or not at all.
 */
class AdapterFuzzTest {

    /** Pieces of both files' grammar, for damage that gets past the parser. */
    private static final String[] TOKENS = {"{", "}", "[", "]", ",", ":", "\"", "null", "true", "-1", "0", "1", "2", "3",
            "99999999999", "1e999",
        "1.5", "\"F64\"", "\"F16\"", "\"BF16\"", "\"I8\"", "\"fc1\"", "lora_A", "lora_B", ".weight", "data_offsets",
        "shape", "dtype",
        "use_rslora", "rank_pattern", "modules_to_save", "(.*)", "dl4j_lora.base.fc1", "ALPHA", "\\u0000", "use_dora",
        "lora_bias", "lora_magnitude_vector", ".lora_B.bias", ".base_layer.bias", ".base_layer.weight", ".lora_diag",
        "\"F8_E4M3\"", "\"I64\"", "(?P<a>", "[a&&b]", "a++", "\"pissa_niter_4\"", "\"olora\"", "use_bdlora", "target_parameters",
        "dl4j_lora.doubled.fc1", "PISSA", "model.out", ".original_module.", "base_model.model."};

    @TempDir
    Path temporary;
    private Path folder;
    private ComputationGraph network;
    private byte[] tensors;
    private byte[] config;

    @BeforeEach
    void somewhere() throws IOException {
        // Where there is a memory-backed folder the campaign costs no disk.
        Path memory = Path.of("/dev/shm");
        folder = Files.isWritable(memory) ? Files.createTempDirectory(memory, "dl4j-lora-fuzz") : temporary;
    }

    /** Plain layers and one trained in full, or layers of several kinds with all biases. */
    private void aSoundAdapter(boolean mixed) throws IOException {
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).trainable("out");
        network = LoRA.apply(Networks.trainedGraph(), mixed
                ? config.bias("all").targets("fc1").loraInit(LoRAInit.PISSA).pissaIterations(2).build()
                : config.override("fc2", o -> o.alpha(3)).build());
        Networks.randomizeAdapters(network.paramTable(), 4);
        LoRAAdapter.of(network).save(folder);
        tensors = Files.readAllBytes(folder.resolve(AdapterFiles.TENSORS));
        this.config = Files.readAllBytes(folder.resolve(AdapterFiles.CONFIG));
    }

    @org.junit.jupiter.api.AfterEach
    void clean() throws IOException {
        Files.deleteIfExists(folder.resolve(AdapterFiles.TENSORS));
        Files.deleteIfExists(folder.resolve(AdapterFiles.CONFIG));
        if (!folder.equals(temporary)) {
            Files.delete(folder);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void damageIsRefusedOrHarmless(boolean mixed) throws IOException {
        aSoundAdapter(mixed);
        campaign(20, 1500);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    @Tag("heavy")
    void muchDamageIsRefusedOrHarmless(boolean mixed) throws IOException {
        aSoundAdapter(mixed);
        campaign(21, 10_000);
    }

    @Test
    void damagedStreamsAreRefusedOrHarmless() throws IOException {
        aSoundAdapter(true);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        LoRAAdapter.of(network).saver().save(out);
        byte[] sound = out.toByteArray();
        Random random = new Random(22);
        int refused = 0;
        for (int i = 0; i < 1500; i++) {
            try {
                LoRAAdapter.loader().load(new ByteArrayInputStream(Damage.to(sound, sound.length, TOKENS, random)));
            } catch (IOException e) {
                refused++;
            }
        }
        assertThat(refused).isBetween(1, 1499);
    }

    private void campaign(long seed, int mutations) throws IOException {
        Random random = new Random(seed);
        int[] outcomes = new int[3];
        for (int i = 0; i < mutations; i++) {
            boolean hitsConfig = random.nextInt(3) == 0;
            Files.write(folder.resolve(AdapterFiles.TENSORS), hitsConfig && random.nextBoolean() ? tensors
                    : mutate(tensors, random));
            Files.write(folder.resolve(AdapterFiles.CONFIG), hitsConfig ? mutate(config, random) : config);
            outcomes[outcome(seed, i)]++;
        }
        assertThat(outcomes[0]).as("refused by load").isGreaterThan(mutations / 4);
        assertThat(outcomes[1]).as("refused by the network").isPositive();
        assertThat(outcomes[2]).as("taken").isPositive();
    }

    private int outcome(long seed, int number) {
        double[] before = Models.params(network);
        LoRAAdapter adapter;
        try {
            adapter = LoRAAdapter.load(folder);
            adapter.config();
        } catch (AdapterFormatException e) {
            assertThat(e.getMessage()).isNotBlank();
            return 0;
        } catch (Throwable e) {
            throw new AssertionError("mutation " + number + " of seed " + seed + ": load failed with " + e, e);
        }
        try {
            adapter.applyTo(network);
        } catch (IllegalArgumentException e) {
            assertThat(Models.params(network)).as("mutation %d of seed %d: half-applied", number, seed).isEqualTo(before);
            return 1;
        } catch (Throwable e) {
            throw new AssertionError("mutation " + number + " of seed " + seed + ": applyTo failed with " + e, e);
        }
        double[] after = Models.params(network);
        assertThat(Arrays.stream(after).allMatch(Double::isFinite)).as("mutation %d of seed %d", number, seed).isTrue();
        adapter.applyTo(network);
        assertThat(Models.params(network)).isEqualTo(after);
        return 2;
    }

    private byte[] mutate(byte[] original, Random random) {
        // Most of it where the grammar is: the header of the one file, all of the other.
        int reach = original == tensors ? 8 + AdapterFiles.headerLength(tensors) : original.length;
        return Damage.to(original, reach, TOKENS, random);
    }
}
