package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Networks and adapters that started from data, out of the JVM and back. */
class DataStartFilesTest {

    @TempDir
    private Path folder;
    private final MultiLayerNetwork base = Networks.trainedLayers();

    private static DataSetIterator data() {
        return new ListDataSetIterator<>(List.of(Networks.data(DataType.FLOAT, 30, 1), Networks.data(DataType.FLOAT, 30, 2)), 1);
    }

    private static LoRAConfig.Builder config(LoRAInit init) {
        return LoRAConfig.builder().rank(2).alpha(3).scaling(Scaling.ALPHA_OVER_RANK).loraInit(init).updater(new Adam(0.01));
    }

    private MultiLayerNetwork tuned(LoRAConfig config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config, data());
        Models.fitSteps(tuned, 0, 4);
        return tuned;
    }

    @ParameterizedTest
    @EnumSource(names = {"EVA", "LORA_GA"})
    void aNetworkComesBackFromItsOwnFile(LoRAInit init) throws Exception {
        for (LoRAConfig config : List.of(config(init).build(), config(init).variant(new FrozenALoRA()).build(),
                config(init).variant(new DoRA()).build(), config(init).storage(FrozenStorage.EMBEDDED).build())) {
            MultiLayerNetwork tuned = tuned(config);
            LoRA.save(tuned, folder.resolve("network"), true);

            MultiLayerNetwork back = LoRA.loadMultiLayerNetwork(folder.resolve("network"));

            assertThat(Models.outputs(back)).containsExactly(Models.outputs(tuned));
            Models.fitSteps(tuned, 4, 6);
            Models.fitSteps(back, 4, 6);
            assertThat(Models.params(back)).containsExactly(Models.params(tuned));
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"EVA", "LORA_GA"})
    void anAdapterComesBackAndTrainsOn(LoRAInit init) throws Exception {
        for (LoRAConfig config : List.of(config(init).build(), config(init).variant(new FrozenALoRA()).build())) {
            MultiLayerNetwork tuned = tuned(config);
            LoRAAdapter.of(tuned).save(folder.resolve("adapter"));

            LoRAAdapter adapter = LoRAAdapter.load(folder.resolve("adapter"));
            MultiLayerNetwork back = LoRA.apply(base, adapter, LoRAConfig.builder().updater(new Adam(0.01)).build());

            assertThat(Models.outputs(back)).containsExactly(Models.outputs(tuned), within(1e-6));
            assertThat(Models.params(back)).containsExactly(Models.params(tuned), within(1e-6));
            assertThat(adapter.config().loraInit()).isEqualTo(init == LoRAInit.EVA ? LoRAInit.KAIMING_UNIFORM : init);
            Models.fitSteps(back, 0, 2);
            LoRAAdapter.of(tuned).applyTo(back);
            assertThat(Models.outputs(back)).containsExactly(Models.outputs(tuned), within(1e-6));
            LoRAAdapter.of(tuned).toPlainLoRA().save(folder.resolve("plain"));
            assertThat(Models.outputs(LoRA.apply(base, LoRAAdapter.load(folder.resolve("plain")))))
                    .containsExactly(Models.outputs(tuned), within(1e-5));
        }
    }

    @Test
    void peftReadsAPlainAdapterOfTwiceTheRank() throws Exception {
        LoRAAdapter.of(tuned(config(LoRAInit.LORA_GA).build())).save(folder.resolve("adapter"));

        String json = Files.readString(folder.resolve("adapter/adapter_config.json"));

        assertThat(json.replace(" ", "")).contains("\"r\":4", "\"init_lora_weights\":true", "\"lora_alpha\":6");
    }

    @Test
    void evaIsAPlainAdapterWithItsRanks() throws Exception {
        LoRAAdapter before = LoRAAdapter.of(tuned(config(LoRAInit.EVA).targets(".*").rankBudget(7).build()));
        before.save(folder.resolve("adapter"));

        LoRAAdapter after = LoRAAdapter.load(folder.resolve("adapter"));

        assertThat(after.layers()).isEqualTo(before.layers());
        assertThat(after.layers().stream().mapToInt(layer -> after.settings(layer).rank()).sum()).isEqualTo(7);
        after.layers().forEach(layer -> assertThat(after.settings(layer).factor()).isCloseTo(1.5, within(1e-12)));
        assertThat(Files.readString(folder.resolve("adapter/adapter_config.json")).replaceAll("\\s", ""))
                .contains("\"init_lora_weights\":true", "\"rank_pattern\":{\"");
    }

    @Test
    void doraThatStartedFromTheGradientHasNoAdapterFile() {
        MultiLayerNetwork tuned = tuned(config(LoRAInit.LORA_GA).variant(new DoRA()).build());

        assertThatThrownBy(() -> LoRAAdapter.of(tuned).save(folder.resolve("adapter")))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll("fc1", "LORA_GA", "LoRA.save");
    }

    @Test
    void copiesOfDl4jsKeepTheStart() {
        for (LoRAInit init : List.of(LoRAInit.EVA, LoRAInit.LORA_GA)) {
            MultiLayerNetwork tuned = tuned(config(init).build());

            MultiLayerNetwork transferred = new TransferLearning.Builder(tuned).build();

            assertThat(Models.outputs(tuned.clone())).containsExactly(Models.outputs(tuned));
            assertThat(Models.outputs(transferred)).containsExactly(Models.outputs(tuned));
        }
    }

    /** As where ModelSerializer restores it in another JVM. */
    @Test
    void whatNoFileHoldsIsRefusedNotDrawnAnew() {
        for (LoRAConfig config : List.of(config(LoRAInit.LORA_GA).build(),
                config(LoRAInit.EVA).variant(new FrozenALoRA()).build())) {
            MultiLayerNetwork tuned = tuned(config);
            String json = tuned.getLayerWiseConfigurations().toJson().replaceAll(
                    "(\"constants\" : \\{[^}]*?\"id\" : \")[0-9a-f]{8}", "$100000000");
            MultiLayerNetwork restored = new MultiLayerNetwork(MultiLayerConfiguration.fromJson(json));
            restored.init(tuned.params().dup(), false);

            assertThatThrownBy(() -> LoRA.attach(restored, base)).satisfies(thrown -> assertThat(thrown)
                    .hasMessageContainingAll("fc1", "is taken from data", "LoRAInit.", "LoRA.save",
                            "LoRA.apply(base, adapter)"));
        }
    }

    @Test
    void anAdapterOfOneStartDoesNotGoIntoANetworkOfAnother() {
        LoRAAdapter gradients = LoRAAdapter.of(tuned(config(LoRAInit.LORA_GA).build()));
        MultiLayerNetwork pissa = LoRA.apply(base, config(LoRAInit.PISSA).build());
        MultiLayerNetwork inputs = LoRA.apply(base, config(LoRAInit.EVA).build(), data());

        assertThatThrownBy(() -> gradients.applyTo(pissa)).hasMessageContainingAll("fc1", "LORA_GA", "PISSA");
        assertThatThrownBy(() -> gradients.applyTo(inputs)).hasMessageContainingAll("fc1", "toPlainLoRA()");
    }

    @Test
    void anAdapterIsTrainedOnWithTheConfigurationThatItWasMadeWith() throws Exception {
        LoRAConfig config = config(LoRAInit.EVA).build();
        MultiLayerNetwork tuned = tuned(config);
        LoRAAdapter.of(tuned).save(folder.resolve("adapter"));

        MultiLayerNetwork more = LoRA.apply(base, LoRAAdapter.load(folder.resolve("adapter")), config);

        assertThat(Models.outputs(more)).containsExactly(Models.outputs(tuned));
    }
}
