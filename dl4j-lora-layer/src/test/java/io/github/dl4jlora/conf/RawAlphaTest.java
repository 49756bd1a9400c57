package io.github.dl4jlora.conf;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.layer.LowRankLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** An alpha that is taken from another library's recipe is told of, once. Each test has an alpha of its own: a JVM tells once. */
class RawAlphaTest {

    @TempDir
    private Path folder;

    private static List<String> toldBy(Runnable code) {
        try (LogCapture log = new LogCapture(LoRASettings.class)) {
            code.run();
            return log.messages();
        }
    }

    @Test
    void bothFactorsAndTheLineToAddAreTold() {
        assertThat(toldBy(() -> LoRAConfig.builder().rank(8).alpha(16.5).build())).containsExactly(
                "rank(8).alpha(16.5) without scaling makes the factor s of s·A·B 16.5. PEFT, Keras and torchtune compute alpha / "
                        + "rank, which is 2.0625. Add .scaling(Scaling.ALPHA_OVER_RANK) for that, or .scaling(Scaling.ALPHA) if "
                        + "16.5 is meant");
    }

    static Stream<Arguments> builders() {
        return Stream.of(
                Arguments.of("LoRAConfig", (Runnable) () -> LoRAConfig.builder().rank(4).alpha(20.25).build()),
                Arguments.of("LoRAConfig with the default rank", (Runnable) () -> LoRAConfig.builder().alpha(21.25).build()),
                Arguments.of("override", (Runnable) () -> LoRAConfig.builder().override("fc1", o -> o.alpha(22.25)).build()),
                Arguments.of("LoRADenseLayer", (Runnable) () -> new LoRADenseLayer.Builder().nIn(9).nOut(9).rank(4).alpha(23.25)
                        .build()),
                Arguments.of("LowRankLayer", (Runnable) () -> new LowRankLayer.Builder().nIn(9).nOut(9).rank(4).alpha(24.25)
                        .build()),
                Arguments.of("LoRASettings", (Runnable) () -> LoRASettings.builder().rank(4).alpha(25.25).build()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("builders")
    void everyBuilderTellsOnce(String name, Runnable build) {
        assertThat(toldBy(build)).as("the first time").singleElement().asString().contains(".25) without scaling");
        assertThat(toldBy(build)).as("the second time").isEmpty();
    }

    @Test
    void otherNumbersAreToldOf() {
        assertThat(toldBy(() -> {
            LoRAConfig.builder().rank(4).alpha(31).build();
            LoRAConfig.builder().rank(5).alpha(31).build();
            LoRAConfig.builder().rank(5).alpha(32).build();
        })).hasSize(3);
    }

    @Test
    void whatIsChosenOrAlikeInBothIsNotToldOf() {
        assertThat(toldBy(() -> {
            LoRAConfig.builder().rank(8).alpha(2).build();
            LoRAConfig.builder().rank(8).alpha(-41).build();
            LoRAConfig.builder().rank(1).alpha(41).build();
            for (Scaling scaling : Scaling.values()) {
                LoRAConfig.builder().rank(8).alpha(41).scaling(scaling).build();
                LoRAConfig.builder().rank(8).scaling(scaling).alpha(41).override("fc1", o -> o.alpha(42)).build();
                new LoRADenseLayer.Builder().nIn(9).nOut(9).rank(8).alpha(41).scaling(scaling).build();
            }
        })).isEmpty();
    }

    @Test
    void neitherAChangedConfigurationNorAFileIsToldOf() throws IOException {
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(51).build();
        assertThat(toldBy(() -> config.toBuilder().alpha(52).override("fc1", o -> o.alpha(53)).build().settings().toBuilder()
                .alpha(54).build())).as("toBuilder").isEmpty();

        MultiLayerNetwork base = Networks.trainedLayers();
        LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(3).alpha(55).scaling(Scaling.ALPHA).build())).save(folder);
        LoRA.save(LoRA.apply(base, LoRAConfig.builder().rank(3).alpha(56).scaling(Scaling.ALPHA).build()),
                folder.resolve("whole.zip"), false);
        try (LogCapture log = new LogCapture(LoRASettings.class)) {
            LoRA.apply(base, LoRAAdapter.load(folder));
            LoRA.load(folder.resolve("whole.zip"));
            assertThat(log.messages()).as("files").isEmpty();
        }
    }

    @Test
    void whatIsRefusedIsNotToldOf() {
        assertThat(toldBy(() -> assertThatThrownBy(() -> LoRAConfig.builder().rank(8).alpha(61).loraDropout(2).build())
                .hasMessageContaining("loraDropout"))).isEmpty();
    }
}
