package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.Scaling;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class LoraAlphaTest {

    private static final double ALPHA = 0.7;
    private static final int RANK = 6;

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void peftComputesTheLayersFactor(Scaling scaling) {
        double loraAlpha = LoraAlpha.ofAlpha(ALPHA, scaling, RANK, false);

        assertThat(loraAlpha / RANK).isCloseTo(scaling.factor(ALPHA, RANK), within(1e-15));
    }

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void theWayBackGivesPeftsFactorUnderAnyScaling(Scaling scaling) {
        double plain = LoraAlpha.toAlpha(ALPHA, scaling, RANK, false);
        double rsLora = LoraAlpha.toAlpha(ALPHA, scaling, RANK, true);

        assertThat(scaling.factor(plain, RANK)).isCloseTo(ALPHA / RANK, within(1e-15));
        assertThat(scaling.factor(rsLora, RANK)).isCloseTo(ALPHA / Math.sqrt(RANK), within(1e-15));
    }
}
