package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.console.Origin;
import org.junit.jupiter.api.Test;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

class OriginTest {

    @Test
    void versionCommitDateAndMachineAreFacts() {
        Map<String, String> facts = Origin.facts();

        assertThat(facts).containsOnlyKeys("version", "commit", "date", "processor", "system", "JDK");
        assertThat(facts.get("version")).matches("\\d+\\.\\d+\\.\\d+(-SNAPSHOT)?");
        assertThat(facts.get("commit")).matches("unknown|[0-9a-f]{8,}( with changes)?");
        assertThat(facts.get("date")).matches("\\d{4}-\\d{2}-\\d{2}");
        assertThat(facts.get("processor")).matches(".*, \\d+ cores?");
    }

    @Test
    void aSentenceLeavesOutWhatIsMissing() {
        assertThat(Origin.sentence(Map.of("version", "0.3.0", "commit", "abc", "date", "2026-11-29", "processor", "fast, 2 cores",
                "JDK", "17.0.21", "OpenBLAS", "0.3.31-1.5.13: with threads", "oneDNN", "not on the class path", "rounds", "3")))
                .isEqualTo("Version 0.3.0, commit abc, 2026-11-29; fast, 2 cores; JDK 17.0.21, OpenBLAS 0.3.31; rounds: 3.");
    }
}
