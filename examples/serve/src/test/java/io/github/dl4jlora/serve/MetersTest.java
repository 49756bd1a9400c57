package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankMetrics.Outcome;
import io.micrometer.core.instrument.MockClock;
import io.micrometer.core.instrument.simple.SimpleConfig;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.time.Duration;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** What is counted, by whose name, and what of it the page is told, without a service. */
@Tag("serve")
class MetersTest {

    private final MockClock clock = new MockClock();
    private final SimpleMeterRegistry registry = new SimpleMeterRegistry(SimpleConfig.DEFAULT, clock);
    private final MicrometerBankMetrics metrics = new MicrometerBankMetrics(registry);

    private void answered(String mix) {
        metrics.ended(AdapterMix.parse(mix), Outcome.ANSWERED, Duration.ofMillis(20).toNanos());
    }

    private long count(String tag) {
        return registry.find(MicrometerBankMetrics.REQUESTS).tag(MicrometerBankMetrics.ADAPTER, tag).timers().stream()
                .mapToLong(timer -> timer.count()).sum();
    }

    /** A hundred weights took all names that there are. */
    @Test
    void mixesTakeNoAdaptersName() {
        for (int i = 1; i <= 200; i++) {
            answered("spam:0." + i + "5");
        }
        answered("spam + tone");
        answered("spam");
        answered("__base__");

        assertThat(List.of(count("(mixes)"), count("spam"), count("__base__"), count("(others)")))
                .containsExactly(201L, 1L, 1L, 0L);
    }

    @Test
    void anAdapterThatIsDeletedMakesRoom() {
        for (int i = 0; i < 101; i++) {
            answered("number-" + i);
        }
        assertThat(List.of(count("number-0"), count("number-99"), count("number-100"), count("(others)")))
                .containsExactly(1L, 1L, 0L, 1L);
        metrics.forget("number-0");
        answered("number-100");

        assertThat(List.of(count("number-0"), count("number-99"), count("number-100"), count("(others)")))
                .containsExactly(0L, 1L, 1L, 1L);
    }

    /** The page showed 0 ms. */
    @Test
    void timesThatAreLongPastAreLeftOut() {
        try (AdapterBank bank = new AdapterBank(Networks.dense(1))) {
            StatisticsRoute route = new StatisticsRoute(registry, bank, () -> "ready");
            answered("spam");
            JsonNode now = route.told().at("/requests/0");
            clock.add(Duration.ofHours(1));
            JsonNode later = route.told().at("/requests/0");

            assertThat(now.get("longest").asDouble()).isEqualTo(20);
            assertThat(now.get("median").asDouble()).isBetween(15.0, 20.0);
            assertThat(later.toString()).isEqualTo("{\"adapter\":\"spam\",\"answered\":1,\"failed\":0}");
        }
    }
}
