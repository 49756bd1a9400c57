package io.github.dl4jlora.serve;

import io.github.dl4jlora.cli.SavedNetwork;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.TextSettings;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * What a service is started with.
 *
 * @param network the base, in memory
 * @param name    the base's name in answers
 * @param texts   how the base reads texts, if it does
 * @param remark  what whoever starts the service should know; null for nothing
 */
record ServedModel(Model network, String name, TextModels texts, String remark) {

    /** The length in tokens to which texts are cut, if nothing else is said. */
    static final int TOKENS = 256;
    private static final String MODULES = "modules.json";

    private ServedModel(Model network, String name, TextModels texts) {
        this(network, name, texts, null);
    }

    /** {@return a saved network, which reads numbers} */
    static ServedModel network(Path file) throws IOException {
        SavedNetwork saved = SavedNetwork.read(file).stock();
        return new ServedModel(saved.model(), file.getFileName().toString(), TextModels.NONE, saved.normalizer() == null ? null
                : "The service does not apply the normalizer of " + file + ": clients must send normalized inputs.");
    }

    /**
     * {@return a sentence encoder}
     *
     * @param model     a {@link PretrainedEncoder}, or else the folder of a sentence model
     * @param maxTokens to which texts are cut; null for what the folder says, or {@value #TOKENS}
     * @throws IOException if it is neither, or cannot be read
     */
    static ServedModel encoder(String model, Integer maxTokens) throws IOException {
        List<PretrainedEncoder> known = Arrays.asList(PretrainedEncoder.values());
        PretrainedEncoder pretrained = known.stream().filter(one -> one.toString().equalsIgnoreCase(model)).findFirst()
                .orElse(null);
        if (pretrained != null) {
            Tokenizer tokenizer = pretrained.tokenizer(maxTokens == null ? TOKENS : maxTokens);
            return closingOnFailure(tokenizer, () -> new ServedModel(pretrained.sentenceEncoder(), pretrained.modelName(),
                    TextModels.of(new BankEncoder(pretrained, tokenizer))));
        }
        if (!Files.isDirectory(Path.of(model))) {
            throw new FileNotFoundException(model + " is none of " + known + " and no folder. Name one of these, or the folder "
                    + "of a sentence-transformers model");
        }
        return encoder(Path.of(model), maxTokens);
    }

    private static ServedModel encoder(Path folder, Integer maxTokens) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(folder);
        if (!Files.exists(folder.resolve(MODULES))) {
            throw new CheckpointException(folder + " has no " + MODULES + ", which says how a text's vector is made of those of "
                    + "its tokens: it is no sentence encoder" + (checkpoint.architectures().isEmpty() ? ""
                    : ", but a " + checkpoint.architectures().get(0)) + ". A cross-encoder is served by --reranker. To make a "
                    + "sentence encoder of it, choose the pooling: checkpoint.writeCheckpoint(checkpoint.sentenceEncoder("
                    + "Pooling.MEAN).network(), newFolder)");
        }
        TextSettings texts = checkpoint.textSettings();
        int longest = maxTokens == null ? texts.maxTokens() : maxTokens;
        if (maxTokens == null && longest < 2) {
            throw new CheckpointException(folder.resolve("sentence_bert_config.json") + " says \"max_seq_length\": " + longest
                    + ", but what begins and ends a text counts as well: at least 2. Change it there, or give --max-tokens");
        }
        Tokenizer tokenizer = Tokenizer.of(folder, checkpoint, longest);
        return closingOnFailure(tokenizer, () -> {
            ComputationGraph network = checkpoint.sentenceEncoder().network();
            BankEncoder encoder = BankEncoder.of(folder, checkpoint, tokenizer, network::outputSingle);
            return new ServedModel(network, encoder.name(), TextModels.of(encoder));
        });
    }

    /**
     * {@return a cross-encoder}
     *
     * @param folder    of a checkpoint
     * @param maxTokens to which texts are cut; null for {@value #TOKENS}
     * @throws IOException if it has no such head, or cannot be read
     */
    static ServedModel reranker(Path folder, Integer maxTokens) throws IOException {
        Checkpoint checkpoint = Checkpoint.open(folder).pairs();
        Tokenizer tokenizer = Tokenizer.of(folder, checkpoint, maxTokens == null ? TOKENS : maxTokens);
        return closingOnFailure(tokenizer, () -> {
            ComputationGraph network = checkpoint.reranker().network();
            BankReranker reranker = new BankReranker(name(folder), network.getNumInputArrays() > 1,
                    checkpoint.shape().longestText(), tokenizer);
            return new ServedModel(network, reranker.name(), TextModels.of(reranker));
        });
    }

    /** {@return what a folder's model is called} */
    static String name(Path folder) {
        return folder.toAbsolutePath().normalize().getFileName().toString();
    }

    private interface Reading {
        ServedModel read() throws IOException;
    }

    /** The tokenizer belongs to the model from then on, unless there is none. */
    private static ServedModel closingOnFailure(Tokenizer tokenizer, Reading reading) throws IOException {
        try {
            return reading.read();
        } catch (IOException | RuntimeException e) {
            tokenizer.close();
            throw e;
        }
    }
}
