package io.github.dl4jlora.evidence.minilm;

import io.github.dl4jlora.evidence.Claim;
import io.github.dl4jlora.evidence.EvidenceException;
import io.github.dl4jlora.evidence.EvidenceSource;
import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.claim.BestRates;
import io.github.dl4jlora.evidence.claim.DataStarts;
import io.github.dl4jlora.evidence.claim.FewerBits;
import io.github.dl4jlora.evidence.claim.Intruders;
import io.github.dl4jlora.evidence.claim.Placements;
import io.github.dl4jlora.evidence.claim.TrainsAlike;
import io.github.dl4jlora.evidence.claim.TwoRates;
import io.github.dl4jlora.evidence.claim.VariantsTuned;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** What can be examined with all-MiniLM-L6-v2, where WordNet was fetched. */
public final class MiniLmClaims implements EvidenceSource {

    private static final String WORDNET = "texts/wordnet";
    private static final int SEEDS = 2;
    private static final List<String> LOOKED_AT = Stream.of(0, 3, 5).flatMap(layer -> Stream.of("query", "value").map(part ->
            "encoder.layer." + layer + ".attention.self." + part)).toList();
    /** Of LoRA at ranks 1, 8 and 32, and of full fine-tuning. */
    private static final double[] BEST_RATES = {1.6e-3, 1.6e-3, 1.6e-3, 1e-4};
    /** Of LoRA's best rate to full fine-tuning's. */
    private static final Interval RATIO = new Interval(4, 64);
    /** Eight for query and value of each of six layers. */
    private static final int RANKS_TO_SHARE = 96;

    @Override
    public List<Claim> claims(Path data, Consumer<String> leaves) {
        Path folder = data.resolve(WORDNET);
        if (!Files.isDirectory(folder)) {
            leaves.accept("WordNet is not in " + folder + ", and MiniLM, which learns from it, left out: fetch it with "
                    + TurnedGlosses.SCRIPT);
            return List.of();
        }
        try {
            return claims(new TurnedGlosses(folder));
        } catch (IOException e) {
            throw new EvidenceException(e.getMessage(), e);
        }
    }

    private static List<Claim> claims(Task task) {
        Stream<Claim> claims = Stream.of(
                new Placements(task, 5e-4),
                new BestRates(List.of(new BestRates.Setting(task, new int[] {2, 16}, 2.5e-5, 4, 5, SEEDS, 50, 100, 2, 4, RATIO))),
                new VariantsTuned(List.of(new VariantsTuned.Setting(task, 1.5e-4, 3, 4, 1, 0, 50, 100, 20))),
                new TwoRates(List.of(new TwoRates.Setting(task, 1.25e-4, 4, 3, 1, task.epochs(), -20, 0.25))),
                new DataStarts(List.of(new DataStarts.Setting(task, 1.5e-3, 5e-4, 3, 2, 1, task.epochs(), RANKS_TO_SHARE))),
                new Intruders(List.of(new Intruders.Setting(task, LOOKED_AT, BEST_RATES, SEEDS, 1))),
                new FewerBits(List.of(new FewerBits.Setting(task, 1.6e-3, 3))),
                new TrainsAlike(List.of(new TrainsAlike.Setting(task, PretrainedEncoder.CLASSIFIER, 1e-3, 1, task.epochs(), 0.01,
                        3))));
        return claims.<Claim>map(OnMiniLm::new).toList();
    }
}
