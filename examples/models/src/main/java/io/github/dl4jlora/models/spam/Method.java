package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.models.encoder.EncoderTargets;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

/** A way to fine-tune the pretrained network. */
enum Method {

    /** The new head alone, on a frozen encoder; DL4J's own means. */
    HEAD_ONLY("head-only", 5e-3) {
        @Override
        ComputationGraph prepare(Base base, TrialOptions start) throws IOException {
            ComputationGraph network = base.network(new Adam(start.or(learningRate)), start.seed());
            FineTuneConfiguration anew = new FineTuneConfiguration.Builder().updater(new Adam(start.or(learningRate))).build();
            return new TransferLearning.GraphBuilder(network).fineTuneConfiguration(anew)
                    .setFeatureExtractor(network.getConfiguration().getVertexInputs().get(base.head().get(0)).get(0)).build();
        }
    },

    /** Adapters where the paper has them (Hu et al. 2021, section 4.2), and the new head. */
    LORA_QUERY_VALUE("LoRA, query and value", 1e-3) {
        @Override
        ComputationGraph prepare(Base base, TrialOptions start) throws IOException {
            return base.adapted(lora(EncoderTargets.QUERY_VALUE, base, start), start.seed());
        }
    },

    /** Adapters on all dense layers of the encoder, and the new head. */
    LORA_LINEAR("LoRA, all linear layers", 1e-3) {
        @Override
        ComputationGraph prepare(Base base, TrialOptions start) throws IOException {
            return base.adapted(lora(EncoderTargets.LINEAR, base, start), start.seed());
        }
    },

    /** Every weight. */
    FULL("full fine-tuning", 5e-5) {
        @Override
        ComputationGraph prepare(Base base, TrialOptions start) throws IOException {
            return base.network(new Adam(start.or(learningRate)), start.seed());
        }
    };

    private static final int RANK = 8;
    private static final double ALPHA = 16;

    final String title;
    /** Usual rate of the method: fewer parameters need larger steps, and bear them. */
    final double learningRate;

    Method(String title, double learningRate) {
        this.title = title;
        this.learningRate = learningRate;
    }

    /** The network whose trainer sees what this method trains. */
    abstract ComputationGraph prepare(Base base, TrialOptions start) throws IOException;

    final LoRAConfig lora(String targets, Base base, TrialOptions start) {
        return LoRAConfig.builder().rank(RANK).alpha(ALPHA).scaling(Scaling.ALPHA_OVER_RANK).targets(targets)
                .quantize(start.quantization()).trainable(base.head().toArray(String[]::new))
                .updater(new Adam(start.or(learningRate))).build();
    }

    final boolean isLoRA() {
        return this == LORA_QUERY_VALUE || this == LORA_LINEAR;
    }

    /** Where the result of a training is kept. */
    final Path in(Path output, String ending) {
        return output.resolve(name().toLowerCase(Locale.ROOT) + ending);
    }

    /** Keeps what was learned: an adapter where there is one, else the network. */
    final void save(ComputationGraph tuned, Path at) throws IOException {
        if (isLoRA()) {
            LoRAAdapter.of(tuned).save(at);
        } else {
            ModelSerializer.writeModel(tuned, at.toFile(), false);
        }
    }
}
