package io.github.dl4jlora.property;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.LoRAPlan;
import io.github.dl4jlora.report.LoRASummary;
import org.apache.commons.io.FileUtils;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** A plan beside what is made, to the byte: parameters, gradients, updater's state, and an adapter's file. */
final class Planned {

    private static final String IN_FULL = "trained in full";

    private Planned() {
    }

    static void check(Trial trial) throws IOException {
        LoRAConfig config = trial.config();
        LoRAPlan plan = null;
        RuntimeException refusal = null;
        List<Long> before = Trial.bits(trial.original.params());
        try {
            plan = LoRA.plan(trial.source(), config, trial.spec.examples(), trial.spec.input().type);
        } catch (RuntimeException e) {
            refusal = e;
        }
        assertThat(Trial.bits(trial.original.params())).as("the base's values, bit by bit").isEqualTo(before);
        Model adapted;
        try {
            adapted = trial.apply(trial.source(), config);
        } catch (IllegalArgumentException e) {
            // What is wrong with data a plan, which is given none, cannot know.
            if (refusal != null || !config.loraInit().needsData()) {
                assertThat(refusal).as("what plan throws").isNotNull().hasMessage(e.getMessage());
            }
            throw e;
        }
        assertThat(refusal).as("what plan throws where apply does not").isNull();
        int width = trial.spec.type().width();
        LoRASummary summary = LoRA.summary(adapted);
        assertThat(described(plan.layers())).as("planned layers").isEqualTo(described(summary));
        LoRAPlan.Memory memory = plan.adapted();
        assertThat(memory.trained()).as("trained parameters").isEqualTo(width * summary.trainableParams());
        if (config.pack()) {
            LoRAPlan unpacked = LoRA.plan(trial.source(), config.toBuilder().pack(false).build(), trial.spec.examples(),
                    trial.spec.input().type);
            assertThat(memory.frozen()).as("frozen parameters").isGreaterThanOrEqualTo(unpacked.adapted().frozen());
        } else {
            assertThat(memory.frozen()).as("frozen parameters")
                    .isEqualTo(summary.frozenBytes() + heldOfThoseInFull(summary, trial));
        }
        requireVectors("adapted", memory, adapted, width);
        requireVectors("all", plan.full(), trial.original, width);
        assertThat(memory.activations()).as("activations").isPositive();
        requireFile(plan, adapted);
    }

    /** What quantising loses is not planned; nor are packed copies that another network on the same weights has made. */
    private static List<LoRASummary.Row> described(LoRASummary summary) {
        return summary.rows().stream().map(row -> new LoRASummary.Row(row.name(), row.type(), row.role(), row.rank(), row.alpha(),
                row.trainable(), row.frozen(), row.storedAs(), row.storedAs().endsWith(", packed") ? 0 : row.bytes(),
                Double.NaN)).toList();
    }

    /** Bytes of what layers trained in full held in the base: a mapped base keeps that as it keeps all else. */
    private static long heldOfThoseInFull(LoRASummary adapted, Trial trial) {
        Settings.Place place = trial.spec.settings().place();
        if (place == Settings.Place.EMBEDDED) {
            return 0;
        }
        List<LoRASummary.Row> inFull = adapted.rows().stream().filter(row -> row.role().equals(IN_FULL)).toList();
        if (!place.mapped) {
            return trial.spec.type().width() * inFull.stream().mapToLong(LoRASummary.Row::trainable).sum();
        }
        List<String> names = inFull.stream().map(LoRASummary.Row::name).toList();
        return LoRA.summary(trial.source()).rows().stream().filter(row -> names.contains(row.name()))
                .mapToLong(LoRASummary.Row::bytes).sum();
    }

    private static void requireVectors(String which, LoRAPlan.Memory memory, Model network, int width) {
        assertThat(memory.gradients()).as("gradients, " + which).isEqualTo(width * network.params().length());
        assertThat(memory.updater()).as("updater's state, " + which).isEqualTo(width * stateOf(network));
    }

    private static long stateOf(Model network) {
        INDArray state = ((NeuralNetwork) network).updaterState();
        return state == null ? 0 : state.length();
    }

    private static void requireFile(LoRAPlan plan, Model adapted) throws IOException {
        Path folder = Files.createTempDirectory("planned");
        try {
            LoRAAdapter.of(adapted).save(folder);
            byte[] file = Files.readAllBytes(folder.resolve("adapter_model.safetensors"));
            long header = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
            assertThat(plan.adapterBytes()).as("values in the adapter's file").isEqualTo(file.length - Long.BYTES - header);
        } finally {
            FileUtils.deleteDirectory(folder.toFile());
        }
    }
}
