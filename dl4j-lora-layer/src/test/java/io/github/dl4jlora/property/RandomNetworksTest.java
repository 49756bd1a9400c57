package io.github.dl4jlora.property;

import net.jqwik.api.Example;
import net.jqwik.api.Label;
import net.jqwik.api.Tag;

import java.time.Duration;

/**
 * Random networks against every {@link Law}. {@code -Ddl4jlora.property.seconds=7200 -Dtest.timeout=8000} or
 * {@code -Ddl4jlora.property.networks=5000} sets how long the heavy run goes on, {@code -Ddl4jlora.property.seed=…}
 * repeats one; each prints its seed, how many networks it tried and what came of them.
 */
@Label("random networks")
class RandomNetworksTest {

    private static final String PREFIX = "dl4jlora.property.";

    @Example
    void someNetworksThatAreTheSameInEveryRun() {
        new Search(20, 60, Duration.ofMinutes(4), 60).run();
    }

    @Example
    @Tag("heavy")
    void asManyNetworksAsThereIsTimeFor() {
        new Search(Long.getLong(PREFIX + "seed", System.nanoTime()), Integer.getInteger(PREFIX + "networks", Integer.MAX_VALUE),
                Duration.ofSeconds(Long.getLong(PREFIX + "seconds", 600)), 400).run();
    }
}
