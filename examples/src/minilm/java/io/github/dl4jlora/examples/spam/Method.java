package io.github.dl4jlora.examples.spam;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.Scaling;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.minilm.MiniLm;
import io.github.dl4jlora.transformers.Transformer;
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

    /** The output layer alone, on frozen sentence embeddings; DL4J's own means. */
    HEAD_ONLY("head-only", 5e-3) {
        @Override
        ComputationGraph prepare(ComputationGraph base, Quantization quantization) {
            FineTuneConfiguration anew = new FineTuneConfiguration.Builder().updater(new Adam(learningRate)).build();
            return new TransferLearning.GraphBuilder(base).fineTuneConfiguration(anew)
                    .setFeatureExtractor(Transformer.POOLING).build();
        }
    },

    /** Adapters where the paper has them (Hu et al. 2021, section 4.2), and the output layer. */
    LORA_QUERY_VALUE("LoRA, query and value", 1e-3) {
        @Override
        ComputationGraph prepare(ComputationGraph base, Quantization quantization) {
            return LoRA.apply(base, lora("encoder\\..*\\.(query|value)", quantization));
        }
    },

    /** Adapters on all dense layers of the encoder, and the output layer. */
    LORA_LINEAR("LoRA, all linear layers", 1e-3) {
        @Override
        ComputationGraph prepare(ComputationGraph base, Quantization quantization) {
            return LoRA.apply(base, lora("encoder\\..*\\.(query|key|value|dense)", quantization));
        }
    },

    /** Every weight. */
    FULL("full fine-tuning", 5e-5) {
        @Override
        ComputationGraph prepare(ComputationGraph base, Quantization quantization) {
            FineTuneConfiguration anew = new FineTuneConfiguration.Builder().updater(new Adam(learningRate)).build();
            return new TransferLearning.GraphBuilder(base).fineTuneConfiguration(anew).build();
        }
    };

    private static final int RANK = 8;
    private static final double ALPHA = 16;

    final String title;
    /** Usual for the method: fewer trained parameters stand, and need, larger steps. */
    final double learningRate;

    Method(String title, double learningRate) {
        this.title = title;
        this.learningRate = learningRate;
    }

    /**
     * The network whose trainer sees what this method trains.
     *
     * @param quantization of the base under adapters; null: as it is
     */
    abstract ComputationGraph prepare(ComputationGraph base, Quantization quantization);

    final LoRAConfig lora(String targets, Quantization quantization) {
        return LoRAConfig.builder().rank(RANK).alpha(ALPHA).scaling(Scaling.ALPHA_OVER_RANK).targets(targets)
                .quantize(quantization).trainable(MiniLm.CLASSIFIER).updater(new Adam(learningRate)).build();
    }

    final boolean isLoRA() {
        return this == LORA_QUERY_VALUE || this == LORA_LINEAR;
    }

    /** Where it keeps what it has to keep of a training. */
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
