package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** A pretrained encoder under a new head that tells spam from ham. */
interface Base {

    /** What it is called. */
    String title();

    /** The layers of the head, which start anew; the output layer last. */
    List<String> head();

    Tokenizer tokenizer(int maxTokens) throws IOException;

    /**
     * @param updater of what trains, unless adapters do
     * @param seed    of the head
     */
    ComputationGraph network(IUpdater updater, long seed) throws IOException;

    /** @param seed of the head */
    default ComputationGraph adapted(LoRAConfig config, long seed) throws IOException {
        return LoRA.apply(network(config.updater(), seed), config);
    }

    /**
     * {@return a network for adapters that exist}
     *
     * @param quantization null: unquantised
     * @param seed         of the head
     */
    default ComputationGraph kept(Quantization quantization, long seed) throws IOException {
        ComputationGraph network = network(new Adam(), seed);
        return quantization == null ? network : LoRA.freeze(network, quantization);
    }

    /** all-MiniLM-L6-v2: a new output layer on the mean of a text's token vectors. */
    record OfMiniLm() implements Base {

        @Override
        public String title() {
            return "all-MiniLM-L6-v2";
        }

        @Override
        public List<String> head() {
            return List.of(PretrainedEncoder.CLASSIFIER);
        }

        @Override
        public Tokenizer tokenizer(int maxTokens) throws IOException {
            return PretrainedEncoder.MINILM.tokenizer(maxTokens);
        }

        @Override
        public ComputationGraph network(IUpdater updater, long seed) throws IOException {
            return PretrainedEncoder.MINILM.classifier(Batches.CLASSES, updater, seed);
        }
    }

    /** A folder of the user's: the head that its family has for classes. If quantised, FLOAT values are never all in memory. */
    record OfCheckpoint(Path folder, Checkpoint checkpoint) implements Base {

        @Override
        public String title() {
            return folder.toAbsolutePath().normalize().getFileName().toString();
        }

        @Override
        public List<String> head() {
            return checkpoint.newHead();
        }

        @Override
        public Tokenizer tokenizer(int maxTokens) throws IOException {
            return Tokenizer.of(folder, checkpoint, maxTokens);
        }

        @Override
        public ComputationGraph network(IUpdater updater, long seed) throws IOException {
            return checkpoint.classifier(Batches.CLASSES, updater, seed).network();
        }

        @Override
        public ComputationGraph adapted(LoRAConfig config, long seed) throws IOException {
            return config.quantization() == null ? Base.super.adapted(config, seed)
                    : LoRA.loadQuantized(checkpoint.classifier(Batches.CLASSES, config.updater(), seed), config);
        }

        @Override
        public ComputationGraph kept(Quantization quantization, long seed) throws IOException {
            return quantization == null ? Base.super.kept(null, seed)
                    : LoRA.loadQuantized(checkpoint.classifier(Batches.CLASSES, new Adam(), seed), quantization);
        }
    }
}
