package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

class SignatureTest {

    @Test
    void whatIsSpelledIsRead() {
        Signature read = Signature.of(FrozenWeights.signature(DataType.DOUBLE,
                Map.of("W", Nd4j.zeros(3, 4), "b", Nd4j.zeros(1, 4), "kernel", Nd4j.zeros(2, 3, 1, 1))));

        assertThat(read.type()).isEqualTo(DataType.DOUBLE);
        assertThat(read.shapes().keySet()).containsExactly("W", "b", "kernel");
        assertThat(read.shapes().get("kernel")).containsExactly(2, 3, 1, 1);
        assertThat(read.length()).isEqualTo(3 * 4 + 4 + 2 * 3);
        assertThat(read.bytes()).isEqualTo(read.length() * 8);
        assertThat(read.bytes("b")).isEqualTo(4 * 8);
    }

    /** Of layers that SameDiff computes, which users name as they like. */
    @ParameterizedTest
    @ValueSource(strings = {"my weight", "a[0]", "[", "]"})
    void keysMayBeAnyText(String key) {
        Signature read = Signature.of(FrozenWeights.signature(DataType.FLOAT,
                Map.of(key, Nd4j.zeros(3, 4), "z", Nd4j.zeros(5))));

        assertThat(read.length()).isEqualTo(17);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "FLOAT", "FLOAT ", "FLOAT W", "FLOAT W[,]", "FLOAT W[3,]", "FLOAT W[0,3]",
        "FLOAT W[-1,3]", "FLOAT W[3,4", "FLOAT W[3,4] ", "FLOAT  W[3,4", "FLOAT [3]", "FLOAT W[3] W[3]",
        "W[3,4]", "LONG W[3,4]", "UTF8 W[3]", "NONE W[3]", "FLOAT W[9223372036854775808]", "FLOAT W[4294967296,4294967296]",
        "FLOAT W[9223372036854775807] b[1]", "FLOAT W[2305843009213693952]"})
    void otherTextIsRefused(String text) {
        assertThatIllegalArgumentException().isThrownBy(() -> Signature.of(text))
                .withMessage("\"" + text + "\" does not describe the parameters of a layer");
    }

    @Test
    void moreParametersThanALayerHasAreRefused() {
        String most = IntStream.range(0, 1_000).mapToObj(i -> " p" + i + "[1]").collect(Collectors.joining("", "FLOAT", ""));

        assertThat(Signature.of(most).shapes()).hasSize(1_000);
        assertThatIllegalArgumentException().isThrownBy(() -> Signature.of(most + " b[1]"))
                .withMessage("a frozen layer may have 1000 parameters at most, not 1001");
        List<StoredForm.Part> parts = Collections.nCopies(1_001, new StoredForm.Part("p", 0, 1, false));
        assertThatIllegalArgumentException().isThrownBy(() -> new StoredForm(Quantization.INT8, "abc", parts))
                .withMessage("a frozen layer may have 1000 parameters at most, not 1001");
    }

    @Test
    void longTextTakesNoTime() {
        String shapes = " W[" + "1,".repeat(1 << 20);

        assertThatIllegalArgumentException().isThrownBy(() -> Signature.of("FLOAT" + shapes));
        assertThatIllegalArgumentException().isThrownBy(() -> Signature.of("FLOAT " + "[".repeat(1 << 20)));
        assertThat(Signature.of("FLOAT" + shapes + "3]").length()).isEqualTo(3);
    }
}
