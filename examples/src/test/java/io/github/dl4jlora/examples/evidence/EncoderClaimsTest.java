package io.github.dl4jlora.examples.evidence;

import io.github.dl4jlora.examples.evidence.claim.Placements;
import io.github.dl4jlora.examples.evidence.claim.TrainsAlike;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Locale;

import static org.assertj.core.api.Assertions.assertThat;

/** What is claimed of encoders, on one that is small enough for a test, but wide enough for the ranks. */
class EncoderClaimsTest {

    @Test
    void placementsTrainAsManyValuesAndAreAllInTheTable() {
        int each = 72 * TinyEncoder.WIDTH * TinyEncoder.LAYERS;
        int head = 2 * TinyEncoder.WIDTH + 2;

        Finding finding = examine(new Placements(new TinyEncoder(), 1e-3, 3));

        assertThat(finding.plots()).containsOnlyKeys("layers");
        String table = finding.blocks().get(1);
        for (String on : List.of("query alone, rank 36", "query and value, rank 18", "all four of attention, rank 9",
                "all six, rank 4")) {
            assertThat(table).contains("| " + on + " | " + String.format(Locale.ROOT, "%,d", each + head) + " | 3.0e-03 |");
        }
        assertThat(table).contains("| feed-forward, rank 7 | " + String.format(Locale.ROOT, "%,d", each * 70 / 72 + head) + " |");
        assertThat(finding.checks()).hasSize(5).allSatisfy(check -> assertThat(check.ours()).isBetween(-100.0, 100.0));
    }

    @Test
    void theSnippetTrainsAnEncoderAsTheLibraryDoes() {
        Finding finding = examine(new TrainsAlike(List.of(
                new TrainsAlike.Setting(new TinyEncoder(), TinyEncoder.HEAD, 1e-3, 1, 3, 1e-3, 0.1))));

        assertThat(finding.checks()).isNotEmpty().allSatisfy(check -> assertThat(check.holds()).as(check.toString()).isTrue());
    }

    private static Finding examine(Claim claim) {
        try (Lab lab = new Lab(1, true, training -> { })) {
            return claim.examine(lab);
        }
    }
}
