package io.github.dl4jlora.examples.spam;

import io.github.dl4jlora.Quantization;
import picocli.CommandLine.Option;

import java.util.ArrayList;
import java.util.List;

/** What a training starts from. */
final class TrialOptions {

    @Option(names = "--quantize", description = "Keep the base under adapters in fewer bits: ${COMPLETION-CANDIDATES}. "
            + "Default: as it is.")
    private Quantization quantization;

    @Option(names = "--seed", defaultValue = "" + DataOptions.SEED,
            description = "Seed of the output layer, adapters and batches. Default: ${DEFAULT-VALUE}.")
    private long seed;

    /** Null: as it is. */
    Quantization quantization() {
        return quantization;
    }

    long seed() {
        return seed;
    }

    /** As options again, for another process. */
    List<String> arguments() {
        List<String> arguments = new ArrayList<>(List.of("--seed", String.valueOf(seed)));
        if (quantization != null) {
            arguments.addAll(List.of("--quantize", quantization.name()));
        }
        return arguments;
    }
}
