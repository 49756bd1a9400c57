package io.github.dl4jlora.serve;

import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.output.Response;
import dev.langchain4j.model.output.TokenUsage;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletionException;

/**
 * A sentence encoder with an adapter, for langchain4j in the same program: a vector for each text, of the three packaged models
 * {@code [384]} numbers of length 1. Several of them, each with its own adapter, share one bank; what their callers ask for at a
 * time is computed together. The bank's {@code maxQueued} must be at least 64, since one call has up to 64 texts wait at a time.
 */
public final class LoRAEmbeddingModel implements EmbeddingModel {

    private final AdapterBank bank;
    private final BankEncoder encoder;
    private final AdapterMix mix;

    /**
     * A model of one adapter of all-MiniLM-L6-v2, or of a mix.
     *
     * @param bank      on {@code PretrainedEncoder.MINILM.sentenceEncoder()}; not closed by this
     * @param tokenizer of texts; texts that are too long lose their end. Not closed by this
     * @param mix       what texts are embedded with
     */
    public LoRAEmbeddingModel(AdapterBank bank, Tokenizer tokenizer, AdapterMix mix) {
        this(bank, PretrainedEncoder.MINILM, tokenizer, mix);
    }

    /**
     * The same with another encoder. Its prompts are the caller's to write.
     *
     * @param bank    on {@code model.sentenceEncoder()}; not closed by this
     * @param model   what the bank has
     */
    public LoRAEmbeddingModel(AdapterBank bank, PretrainedEncoder model, Tokenizer tokenizer, AdapterMix mix) {
        this(bank, new BankEncoder(Objects.requireNonNull(model, "The model is null"),
                Objects.requireNonNull(tokenizer, "The tokenizer is null")), mix);
    }

    private LoRAEmbeddingModel(AdapterBank bank, BankEncoder encoder, AdapterMix mix) {
        this.bank = Objects.requireNonNull(bank, "The bank is null");
        this.encoder = encoder;
        this.mix = Objects.requireNonNull(mix, "The mix is null: use AdapterMix.base() for no adapter");
    }

    /**
     * A model of one adapter of a sentence encoder in a folder, or of a mix. The folder's default prompt goes before each text,
     * as in sentence-transformers; other prompts are the caller's to write.
     *
     * @param folder    that {@link Checkpoint#open} reads
     * @param bank      on the folder's {@link Checkpoint#sentenceEncoder}; not closed by this
     * @param tokenizer {@link Tokenizer#of} the folder, which cuts texts that are too long. Not closed by this
     * @param mix       what texts are embedded with
     * @throws io.github.dl4jlora.transformers.CheckpointException if the folder is damaged, or the bank's network cannot read
     *                                                             what the tokenizer makes of a text
     * @throws IOException                                         if the folder cannot be read
     */
    public static LoRAEmbeddingModel of(Path folder, AdapterBank bank, Tokenizer tokenizer, AdapterMix mix) throws IOException {
        Objects.requireNonNull(bank, "The bank is null");
        return new LoRAEmbeddingModel(bank, BankEncoder.of(folder, Checkpoint.open(folder),
                Objects.requireNonNull(tokenizer, "The tokenizer is null"), ids -> bank.output(AdapterBank.BASE, ids)), mix);
    }

    /**
     * Embeds texts.
     *
     * @param texts in any number
     * @return an embedding for each, in their order, and the number of tokens
     * @throws io.github.dl4jlora.bank.UnknownAdapterException if the bank has no such adapter
     * @throws io.github.dl4jlora.bank.BankOverloadedException if too many wait
     */
    @Override
    public Response<List<Embedding>> embedAll(List<TextSegment> texts) {
        List<int[]> tokens = texts.stream().map(text -> encoder.tokens(encoder.texts().prepared(text.text())).ids()).toList();
        try {
            float[][] embeddings = encoder.embed(mix, tokens, bank::submit).join();
            return Response.from(Arrays.stream(embeddings).map(Embedding::from).toList(),
                    new TokenUsage(tokens.stream().mapToInt(ids -> ids.length).sum()));
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : e;
        }
    }

    @Override
    public int dimension() {
        return encoder.width();
    }

    @Override
    public String modelName() {
        return encoder.name() + " with " + mix;
    }
}
