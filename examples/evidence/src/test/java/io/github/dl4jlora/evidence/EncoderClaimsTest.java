package io.github.dl4jlora.evidence;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.evidence.claim.FewerBits;
import io.github.dl4jlora.evidence.claim.Placements;
import io.github.dl4jlora.evidence.claim.TrainsAlike;
import io.github.dl4jlora.examples.Spread;
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

        Finding finding = examine(new Placements(new TinyEncoder(), 1e-3));

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

    @Test
    void aMeanOnEachFormOfTheBaseMayDifferFromFloatsByTheDeviationOverSeeds() {
        TinyEncoder task = new TinyEncoder();
        double rate = 1e-2;
        try (Lab lab = new Lab(1, false, training -> { })) {
            Finding finding = new FewerBits(List.of(new FewerBits.Setting(task, rate, 3))).examine(lab);

            Spread onFloat = Spread.of(lab.run(List.of(1L, 2L, 3L).stream().map(seed ->
                    new Training(task, Method.lora(8), rate, seed)).toList()).values(), Trained::learned);
            assertThat(finding.blocks().get(0)).contains("| FLOAT | BF16 | INT8 | NF4 |",
                    "| tiny encoder: texts told right, % | 1.0e-02 | 3 | " + onFloat.toString(1) + " |");
            assertThat(onFloat.deviation()).isPositive();
            assertThat(finding.checks()).hasSize(Quantization.values().length).allSatisfy(check ->
                    assertThat(check.claimed()).isEqualTo(new Finding.Interval(-onFloat.deviation(), onFloat.deviation())));
        }
    }

    private static Finding examine(Claim claim) {
        try (Lab lab = new Lab(1, true, training -> { })) {
            return claim.examine(lab);
        }
    }
}
