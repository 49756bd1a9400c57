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
import java.util.List;
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
        for (String name : List.of("swapped", "pissa")) {
            ComputationGraph network = ModelSerializer.restoreComputationGraph(folder.resolve(name + ".zip").toFile(), true);
            LoRA.attach(network, base);
            answers.setProperty(name, Elsewhere.failure(() -> Models.outputs(network)));
        }
        answers.setProperty("whole", Arrays.toString(Models.outputs(LoRA.loadComputationGraph(folder.resolve("whole.zip")))));
        try (var out = Files.newBufferedWriter(folder.resolve("answers.properties"))) {
            answers.store(out, null);
        }
    }
}
