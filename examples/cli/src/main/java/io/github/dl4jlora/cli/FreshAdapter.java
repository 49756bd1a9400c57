package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine;

import java.io.IOException;
import java.util.Map;

/** Options of a fresh adapter. */
final class FreshAdapter {

    private static final int DEFAULT_RANK = 8;

    @Option(names = "--rank", paramLabel = "N", description = "Rank of a fresh adapter. Default: 8.")
    private Integer rank;

    @Option(names = "--alpha", paramLabel = "X", description = "Alpha of a fresh adapter. Default: 1.")
    private double alpha = 1;

    @Option(names = "--scaling", paramLabel = "WORD",
            description = "What alpha means: ${COMPLETION-CANDIDATES}. Default: ALPHA.")
    private Scaling scaling = Scaling.ALPHA;

    @Option(names = "--targets", paramLabel = "REGEX",
            description = "Layers to adapt, by full name; may be repeated. Default: all "
            + "dense layers but the output.")
    private String[] targets = {};

    @Option(names = "--exclude", paramLabel = "REGEX", description = "Layers not to adapt even if a target matches them.")
    private String[] exclude = {};

    @Option(names = "--trainable", paramLabel = "REGEX", description = "Layers to train in full, in addition to the adapters.")
    private String[] trainable = {};

    @Option(names = "--seed", paramLabel = "N", description = "Seed of a fresh adapter's A. Default: the network's seed.")
    private Long seed;

    /**
     * To be called before the network is adapted.
     *
     * @throws IOException if {@code --rank} is too large for the matrix of a layer; the message names both
     */
    void requireRank(SavedNetwork base, LoRAConfig config) throws IOException {
        if (rank == null) {
            return;
        }
        Map.Entry<String, Long> least = LoRA.largestRanks(base.model(), config).entrySet().stream()
                .min(Map.Entry.comparingByValue()).orElse(null);
        if (least != null && rank > least.getValue()) {
            throw new IOException(base.file() + ": --rank " + rank + " is too large for layer \"" + least.getKey()
                    + "\", whose matrix has " + least.getValue() + " rows or columns. Give at most --rank " + least.getValue()
                    + ", or leave the layer out with --exclude");
        }
    }

    /**
     * The configuration from the options.
     *
     * @throws ParameterException if they contradict each other
     */
    LoRAConfig.Builder config(CommandLine line) {
        try {
            LoRAConfig.Builder config = LoRAConfig.builder().rank(rank == null ? DEFAULT_RANK : rank).alpha(alpha)
                    .scaling(scaling).exclude(exclude).trainable(trainable);
            if (targets.length > 0) {
                config.targets(targets);
            }
            config.build();
            return seed == null ? config : config.seed(seed);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(line, Wording.of(e.getMessage()), e);
        }
    }
}
