package io.github.dl4jlora.property;

import net.jqwik.api.Example;
import net.jqwik.api.Label;
import net.jqwik.api.Tag;

import java.time.Duration;

/**
 * Random networks against every {@link Law}. Both runs try the same networks each time, so that a failure tells of a change
 * and not of luck; {@code -Ddl4jlora.property.seed=…} makes the heavy one try others,
 * {@code -Ddl4jlora.property.seconds=7200 -Dtest.timeout=8000} or {@code -Ddl4jlora.property.networks=5000} sets how long it
 * goes on. Each prints its seed, how many networks it tried and what came of them. If the JVM ends, {@code
 * target/property-last.txt} says at which network.
 */
@Label("random networks")
class RandomNetworksTest {

    private static final String PREFIX = "dl4jlora.property.";

    @Example
    void someNetworksThatAreTheSameInEveryRun() {
        new Search(20, 16, Duration.ofMinutes(4), 60).run();
    }

    @Example
    @Tag("heavy")
    void manyNetworks() {
        Long seconds = Long.getLong(PREFIX + "seconds");
        int networks = Integer.getInteger(PREFIX + "networks", seconds == null ? 300 : Integer.MAX_VALUE);
        new Search(Long.getLong(PREFIX + "seed", 13254351929264L), networks,
                Duration.ofSeconds(seconds == null ? 600 : seconds), 400).run();
    }
}
