package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.console.Require;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.ArrayList;
import java.util.List;

/** What a training starts from. */
final class TrialOptions {

    @Option(names = "--quantize", description = "Keep the base under adapters in fewer bits: ${COMPLETION-CANDIDATES}. "
            + "Default: unquantised.")
    private Quantization quantization;

    @Option(names = "--seed", defaultValue = "" + DataOptions.SEED,
            description = "Seed of the output layer, adapters and batches. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--batch", defaultValue = "16", description = "E-mails of a training step; fewer need less memory. "
            + "Default: ${DEFAULT-VALUE}.")
    private int batch;

    @Option(names = "--learning-rate", paramLabel = "<rate>", description = "Instead of each method's own.")
    private Double learningRate;

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    /** Null: unquantised. */
    Quantization quantization() {
        return quantization;
    }

    long seed() {
        return seed;
    }

    int batch() {
        Require.atLeastOne(command, "--batch", batch);
        return batch;
    }

    /** The rate that is given, or the method's own. */
    double or(double usual) {
        Require.aboveZero(command, "--learning-rate", learningRate);
        return learningRate == null ? usual : learningRate;
    }

    /** @throws ParameterException if a value cannot be trained with */
    void require() {
        batch();
        or(1);
    }

    /** As options again, for another process with or without adapters. */
    List<String> arguments(boolean isLoRA) {
        List<String> arguments = new ArrayList<>(List.of("--seed", String.valueOf(seed), "--batch", String.valueOf(batch)));
        if (learningRate != null) {
            arguments.addAll(List.of("--learning-rate", String.valueOf(learningRate)));
        }
        if (isLoRA && quantization != null) {
            arguments.addAll(List.of("--quantize", quantization.name()));
        }
        return arguments;
    }
}
