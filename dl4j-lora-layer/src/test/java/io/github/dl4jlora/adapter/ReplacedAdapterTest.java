package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.peft.PeftFolder;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** An adapter that is saved over another, and one whose files were replaced by half. */
class ReplacedAdapterTest {

    private static final String ID = "01234567-89ab-cdef-0123-456789abcdef";

    @TempDir
    private Path home;

    private static LoRAAdapter adapter(int alpha) {
        ComputationGraph adapted = LoRA.apply(Networks.trainedGraph(), LoRAConfig.builder().rank(2).alpha(alpha).build());
        Networks.randomizeAdapters(adapted.paramTable(), alpha);
        return LoRAAdapter.of(adapted);
    }

    @Test
    void bothFilesAreReplacedAndOthersStay() throws IOException {
        Path folder = home.resolve("adapter");
        adapter(1).save(folder);
        Files.writeString(folder.resolve("tokenizer.json"), "{}");
        Files.createDirectory(folder.resolve("checkpoints"));
        Files.writeString(folder.resolve("checkpoints/1"), "of the user");

        adapter(2).save(folder);

        assertThat(LoRAAdapter.load(folder).deltaWeight("fc1")).isEqualTo(adapter(2).deltaWeight("fc1"));
        assertThat(folder.toFile().list()).containsExactlyInAnyOrder(PeftFolder.TENSORS, PeftFolder.CONFIG, "tokenizer.json",
                "checkpoints");
        assertThat(folder.resolve("tokenizer.json")).hasContent("{}");
        assertThat(folder.resolve("checkpoints/1")).hasContent("of the user");
        assertThat(home.toFile().list()).containsExactly("adapter");
    }

    /** As PEFT writes one: nothing in the tensors says what the configuration was. */
    private static void writeOfPeft(Path tensors, Path config, int version) throws IOException {
        Map<String, INDArray> values = new LinkedHashMap<>();
        values.put("base_model.model.fc1.lora_A.weight", Nd4j.valueArrayOf(new long[] {2, 4}, version, DataType.FLOAT));
        values.put("base_model.model.fc1.lora_B.weight", Nd4j.valueArrayOf(new long[] {3, 2}, version, DataType.FLOAT));
        try (OutputStream out = Files.newOutputStream(tensors)) {
            Safetensors.write(out, values, Map.of("format", "pt"));
        }
        Files.writeString(config, "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": " + 2 * version
                + ", \"target_modules\": [\"fc1\"]}");
    }

    /** Version² of A and B, times alpha / r = version, times rank 2, in each of 12 values. */
    private static double norm(int version) {
        return 2 * Math.pow(version, 3) * Math.sqrt(12);
    }

    @Test
    void oneThatWasReplacedByHalfIsTheOldOneAsLongAsItsTensorsAre() throws IOException {
        writeOfPeft(home.resolve(PeftFolder.TENSORS), home.resolve("." + PeftFolder.CONFIG + "." + ID + ".old"), 1);
        writeOfPeft(home.resolve("." + PeftFolder.TENSORS + "." + ID + ".tmp"),
                home.resolve("." + PeftFolder.CONFIG + "." + ID + ".tmp"), 3);

        assertThat(LoRAAdapter.load(home).norm("fc1")).isCloseTo(norm(1), within(1e-4));

        Files.move(home.resolve("." + PeftFolder.TENSORS + "." + ID + ".tmp"), home.resolve(PeftFolder.TENSORS),
                StandardCopyOption.REPLACE_EXISTING);

        assertThat(LoRAAdapter.load(home).norm("fc1")).isCloseTo(norm(3), within(1e-3));
    }

    @Test
    void whatNobodyCanTellIsRefused() throws IOException {
        writeOfPeft(home.resolve(PeftFolder.TENSORS), home.resolve("." + PeftFolder.CONFIG + "." + ID + ".old"), 1);

        assertThatThrownBy(() -> LoRAAdapter.load(home)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll(PeftFolder.CONFIG, "does not exist");
    }
}
