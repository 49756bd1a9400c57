package io.github.dl4jlora.bank;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.time.Duration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

/** The smallest settings of a bank work, and smaller ones are refused by their names. */
class BankConfigTest {

    private static BankConfig.Builder set(BankConfig.Builder builder, String name, int value) {
        return switch (name) {
            case "maxNetworks" -> builder.maxNetworks(value);
            case "maxBytes" -> builder.maxBytes(value);
            case "maxBatch" -> builder.maxBatch(value);
            case "maxQueued" -> builder.maxQueued(value);
            default -> throw new IllegalArgumentException(name);
        };
    }

    @ParameterizedTest
    @ValueSource(strings = {"maxNetworks", "maxBytes", "maxBatch", "maxQueued"})
    void oneIsEnoughAndNoneIsRefused(String name) {
        set(BankConfig.builder(), name, 1).build();

        assertThatIllegalArgumentException().isThrownBy(() -> set(BankConfig.builder(), name, 0).build())
                .withMessage(name + " is 0, but must be at least 1");
    }

    @Test
    void noDelayIsADelayAndLessIsRefused() {
        assertThat(BankConfig.builder().maxDelay(Duration.ZERO).build().maxDelay()).isZero();

        assertThatIllegalArgumentException().isThrownBy(() -> BankConfig.builder().maxDelay(Duration.ofNanos(-1)).build())
                .withMessageContaining("maxDelay is PT-0.000000001S");
        assertThatIllegalArgumentException().isThrownBy(() -> BankConfig.builder().maxDelay(null).build())
                .withMessageContaining("maxDelay is null");
    }

    @Test
    void theBaseIsVerifiedAfterAWhileOrNever() {
        assertThat(BankConfig.builder().verifyEvery(Duration.ofNanos(1)).build().verifyEvery()).contains(Duration.ofNanos(1));
        assertThat(BankConfig.builder().build().verifyEvery()).isEmpty();

        for (Duration other : new Duration[] {Duration.ZERO, Duration.ofNanos(-1)}) {
            assertThatIllegalArgumentException().isThrownBy(() -> BankConfig.builder().verifyEvery(other).build())
                    .withMessageContaining("verifyEvery is " + other);
        }
    }

    @Test
    void whatIsSetIsTold() {
        AdapterSource source = new MapSource();
        BankMetrics metrics = new BankMetrics() {
        };
        BankConfig config = BankConfig.builder().maxNetworks(2).maxBytes(3).maxBatch(4).maxQueued(5).source(source)
                .metrics(metrics).build();

        assertThat(config.maxNetworks()).isEqualTo(2);
        assertThat(config.maxBytes()).isEqualTo(3);
        assertThat(config.maxBatch()).isEqualTo(4);
        assertThat(config.maxQueued()).isEqualTo(5);
        assertThat(config.source()).containsSame(source);
        assertThat(config.metrics()).isSameAs(metrics);
        assertThatNullPointerException().isThrownBy(() -> BankConfig.builder().metrics(null).build())
                .withMessageContaining("BankMetrics.NONE");
    }

    @Test
    void theDefaultsAreTheDocumentedOnes() {
        BankConfig config = BankConfig.builder().build();

        assertThat(config.maxNetworks()).isEqualTo(Runtime.getRuntime().availableProcessors());
        assertThat(config.maxBytes()).isEqualTo(256 << 20);
        assertThat(config.maxBatch()).isEqualTo(32);
        assertThat(config.maxDelay()).isEqualTo(Duration.ofMillis(1));
        assertThat(config.maxQueued()).isEqualTo(1024);
        assertThat(config.source()).isEmpty();
        assertThat(config.metrics()).isSameAs(BankMetrics.NONE);
    }
}
