package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.ChildJvm;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.variant.Variants;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Properties;

import static org.assertj.core.api.Assertions.assertThat;

/** What does not train and is in no checkpoint is computed again from the base, or missed by name. */
@Tag("heavy")
class VariantsInAnotherJvmTest {

    @TempDir
    private Path folder;

    @Test
    void startsAreComputedAgainFromTheBaseAlone() throws IOException, InterruptedException {
        ComputationGraph base = Networks.trainedGraph();
        ModelSerializer.writeModel(base, folder.resolve("base.zip").toFile(), false);
        Properties expected = new Properties();
        for (Variants variant : Variants.values()) {
            ComputationGraph tuned = LoRA.apply(base, variant.config().build());
            tuned.fit(Networks.data(tuned.params().dataType(), 8, 1));
            ModelSerializer.writeModel(tuned, folder.resolve(variant + ".zip").toFile(), true);
            expected.setProperty(variant.name(), Arrays.toString(Models.outputs(tuned)));
        }
        // An A that came with an adapter is no function of the base.
        ComputationGraph swapped = LoRA.apply(base, Variants.LORA_FA.config().build());
        LoRAAdapter.of(Variants.disturb(LoRA.apply(base, Variants.PLAIN.config().build()))).applyTo(swapped);
        ModelSerializer.writeModel(swapped, folder.resolve("swapped.zip").toFile(), true);
        LoRA.save(swapped, folder.resolve("whole.zip"), true);
        // The base's seed, by which its start would be computed again, is not the adapter's.
        LoRAAdapter ofOwnSeed = LoRAAdapter.of(LoRA.apply(base, Variants.PISSA.config().pissaIterations(1).seed(7).build()));
        ModelSerializer.writeModel(LoRA.apply(base, ofOwnSeed), folder.resolve("pissa.zip").toFile(), true);

        ChildJvm.run(ChildJvm.classpath(), folder.resolve("log"), "io.github.dl4jlora.internal.file.VariantsElsewhere",
                folder.toString());
        Properties found = new Properties();
        try (var in = Files.newBufferedReader(folder.resolve("answers.properties"))) {
            found.load(in);
        }

        for (Variants variant : Variants.values()) {
            assertThat(found.getProperty(variant + "-attached")).as(variant.name()).isEqualTo("none");
            assertThat(found.getProperty(variant + "-outputs")).as(variant.name())
                    .isEqualTo(expected.getProperty(variant.name()));
        }
        assertThat(found.getProperty("PLAIN-missing")).startsWith("FrozenWeightsMissingException");
        assertThat(found.getProperty("swapped")).startsWith("IllegalStateException: Layer \"fc1\"")
                .contains("came with an adapter's files", "LoRA.save");
        assertThat(found.getProperty("pissa")).startsWith("IllegalStateException: Layer \"fc1\"").contains("LoRAInit.PISSA");
        assertThat(found.getProperty("whole")).isEqualTo(Arrays.toString(Models.outputs(swapped)));
    }
}
