package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.Extraction;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.tune.RankUse;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

@Command(name = "extract", header = "Makes an adapter from a network that was fine-tuned in full.",
        description = {"The change of each layer becomes the closest product A x B of the rank; the loss is shown. Both "
                + "networks must have the same architecture.",
                "Give --rank, --energy, or both; with both, the rank is the limit."},
        footer = {"  dl4j-lora extract base.zip finetuned.zip --rank 8 -o adapter",
                "  dl4j-lora extract base.zip finetuned.zip --energy 0.99 --full-values -o adapter"})
final class ExtractCommand extends Work {

    @Parameters(index = "0", paramLabel = "BASE", description = "The network as it was before.")
    private Path base;

    @Parameters(index = "1", paramLabel = "FINETUNED", description = "The network as it is now.")
    private Path fineTuned;

    @Option(names = "--rank", paramLabel = "N", description = "The largest rank of a layer.")
    private Integer rank;

    @Option(names = "--energy", paramLabel = "X",
            description = "The share of the change's sum of squares to keep, at most 1 (everything).")
    private Double energy;

    @Option(names = "--full-values", description = "Also stores biases, normalisation and whatever else changed, as values.")
    private boolean fullValues;

    @Mixin
    private Output output;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        require(rank != null || energy != null, "Say what to keep: --rank 8, or --energy 0.99");
        Require.atLeastOne(spec(), "--rank", rank);
        require(energy == null || energy > 0 && energy <= 1, "--energy " + energy + " must be above 0 and at most 1");
        output.checkedFolder();
        progress.expect(4).step("reading " + base);
        SavedNetwork before = whole(SavedNetwork.read(base).stock());
        progress.step("reading " + fineTuned);
        SavedNetwork now = whole(SavedNetwork.read(fineTuned).stock());
        progress.step("extracting");
        Extraction.Extracted extracted = extracted(before, now);
        progress.step("writing " + output.path());
        output.writeAdapter(extracted.adapter());
        extracted.relativeErrors().forEach((layer, error) -> facts.say(String.format(Locale.ROOT,
                "%s: rank %d keeps %.2f %% of the change, and loses %.2f %% of the norm.", layer, extracted.adapter().rank(layer),
                100 * (1 - error * error), 100 * error)));
        facts.say(RankUse.MEANING);
        if (!extracted.leftOut().isEmpty()) {
            facts.say("Changed, but not in the adapter: " + String.join(", ", extracted.leftOut()) + "; see --full-values.");
        }
        output.tell("an adapter of the layers " + String.join(", ", extracted.adapter().layers()) + ".", facts);
        facts.put("layers", extracted.adapter().layers()).put("trainedLayers", extracted.adapter().trainedLayers())
                .put("lost", extracted.relativeErrors()).put("leftOut", extracted.leftOut());
    }

    private static SavedNetwork whole(SavedNetwork network) throws IOException {
        if (network.isFrozen()) {
            throw new IOException(network.file() + " is " + network.kind()
                    + ", but extract compares trained weights. Name the network that it was made from");
        }
        return network;
    }

    private Extraction.Extracted extracted(SavedNetwork before, SavedNetwork now) throws IOException {
        Extraction extraction = LoRAAdapter.extract(before.model(), now.model()).fullValues(fullValues);
        if (rank != null) {
            extraction.rank(rank);
        }
        if (energy != null) {
            extraction.energy(energy);
        }
        try {
            return extraction.build();
        } catch (IllegalArgumentException e) {
            throw new IOException("No adapter can be extracted from " + base + " and " + fineTuned + ": "
                    + e.getMessage(), e);
        }
    }
}
