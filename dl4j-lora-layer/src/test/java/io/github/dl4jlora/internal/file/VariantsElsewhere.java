package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.variant.Variants;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Properties;

/** Restores networks of every variant in a JVM that has only their base. Run by {@link VariantsInAnotherJvmTest}. */
final class VariantsElsewhere {

    private VariantsElsewhere() {
    }

    /** @param arguments the folder with the files; answers go into {@code answers.properties} there */
    public static void main(String[] arguments) throws IOException {
        Path folder = Path.of(arguments[0]);
        Properties answers = new Properties();
        ComputationGraph base = ModelSerializer.restoreComputationGraph(folder.resolve("base.zip").toFile(), false);
        for (Variants variant : Variants.values()) {
            ComputationGraph network = ModelSerializer.restoreComputationGraph(folder.resolve(variant + ".zip").toFile(), true);
            answers.setProperty(variant + "-missing", Elsewhere.failure(() -> Models.outputs(network)));
            LoRA.attach(network, base);
            answers.setProperty(variant + "-attached", Elsewhere.failure(() -> answers.setProperty(variant + "-outputs",
                    Arrays.toString(Models.outputs(network)))));
        }
        ComputationGraph swapped = ModelSerializer.restoreComputationGraph(folder.resolve("swapped.zip").toFile(), true);
        LoRA.attach(swapped, base);
        answers.setProperty("swapped", Elsewhere.failure(() -> Models.outputs(swapped)));
        answers.setProperty("whole", Arrays.toString(Models.outputs(LoRA.loadComputationGraph(folder.resolve("whole.zip")))));
        try (var out = Files.newBufferedWriter(folder.resolve("answers.properties"))) {
            answers.store(out, null);
        }
    }
}
