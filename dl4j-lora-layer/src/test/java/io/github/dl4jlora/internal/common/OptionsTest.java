package io.github.dl4jlora.internal.common;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter.ApplyOption;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.SaveOption;
import org.deeplearning4j.nn.api.Model;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class OptionsTest {

    @Test
    void eachMayBeGivenOnce() {
        assertThat(Options.of(ApplyOption.FORCE, ApplyOption.STRICT)).containsExactlyInAnyOrder(ApplyOption.FORCE,
                ApplyOption.STRICT);
        assertThat(Options.<SaveOption>of()).isEmpty();
    }

    @Test
    void oneThatIsGivenTwiceIsNamed(@TempDir Path folder) {
        assertThatThrownBy(() -> Options.of(ApplyOption.FORCE, ApplyOption.FORCE)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("ApplyOption.FORCE is given twice. Give each option once");
        assertThatThrownBy(() -> LoRA.writeBase((Model) null, folder.resolve("base"), Quantization.INT8, SaveOption.NEW_ONLY,
                SaveOption.NEW_ONLY)).isInstanceOf(IllegalArgumentException.class)
                .hasMessage("SaveOption.NEW_ONLY is given twice. Give each option once");
    }

    @Test
    void nullIsNone() {
        assertThatThrownBy(() -> Options.of(SaveOption.NEW_ONLY, null)).isInstanceOf(NullPointerException.class)
                .hasMessage("An option is null: [NEW_ONLY, null]");
    }
}
