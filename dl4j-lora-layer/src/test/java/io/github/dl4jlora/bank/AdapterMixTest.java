package io.github.dl4jlora.bank;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

class AdapterMixTest {

    @ParameterizedTest
    @ValueSource(strings = {"__base__", "spam", "spam:0.5", "spam:0.7 + tone:-0.3", "0.5:2.0", "1", "1e3:-0.0", "a b + c",
        "x:0.0", "x:4.9E-324 + y:1.7976931348623157E308"})
    void whatIsWrittenIsRead(String text) {
        assertThat(AdapterMix.parse(text)).hasToString(text).isEqualTo(AdapterMix.parse(" " + text + " "));
    }

    @Test
    void partsAreNamesAndWeights() {
        AdapterMix mix = AdapterMix.parse("spam:0.7 + tone:3e-1 + plain");

        assertThat(mix.weights()).containsExactly(Map.entry("spam", 0.7), Map.entry("tone", 0.3), Map.entry("plain", 1.0));
        assertThat(mix).isEqualTo(AdapterMix.of("spam", 0.7).plus("tone", 0.3).plus("plain", 1)).hasSameHashCodeAs(
                AdapterMix.of("spam", 0.7).plus("tone", 0.3).plus("plain", 1));
        assertThat(AdapterMix.of("__base__")).isEqualTo(AdapterMix.base()).hasToString("__base__");
    }

    @ParameterizedTest
    @CsvSource({"'', name", "'spam + ', name", "':0.5', name", "spam + spam:2, twice", "spam:NaN, finite",
        "spam:Infinity, finite", "spam + __base__, W once", "__base__:2, W once", "spam:, finite", "spam:1d, finite",
        "spam:0x1p3, finite", "spam:1f, finite", "spam:\u0661, finite", "spam:1e, finite", "spam:., finite", "spam:1_0, finite",
        "spam:1e999, outside", "spam:-1e999, outside", "spam:1e-999, outside", "a:b:2, b:2", "0.5:spam, finite", "c++, U+002B",
        "a+b, U+002B", "a/b:1, U+002F"})
    void nonsenseIsRefusedByName(String text, String reason) {
        assertThatIllegalArgumentException().isThrownBy(() -> AdapterMix.parse(text)).withMessageContaining(reason);
    }

    @Test
    void theBaseHasNoWeight() {
        assertThatIllegalArgumentException().isThrownBy(() -> AdapterMix.of("__base__", 0.5)).withMessageContaining("0.5");
    }
}
