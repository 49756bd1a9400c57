package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.inspect.AdapterState;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * One text as a causal language model reads it, token by token: the keys and values of the tokens so far, so that a new token
 * costs one row of each layer and not the whole text again (Pope et al. 2022, arXiv:2211.05102).
 *
 * <pre>
 * try (KeyValueCache cache = new KeyValueCache()) {
 *     INDArray logits = cache.append(network, prompt);          // [1, vocabulary], of the token after the prompt
 *     logits = cache.append(network, token);                    // of the token after that
 * }
 * </pre>
 *
 * <p>The network has nothing of it between calls, so that other passes, training and other caches do not disturb it, nor it them.
 * When the network's adapters have changed, or it is another network, all tokens are read again. It takes 2 · layers · hidden
 * values for each token, and grows by doubling, up to the model's positions. For one thread at a time; calls for one network, by
 * whichever caches, wait for each other.
 */
public final class KeyValueCache implements AutoCloseable {

    /** A running part of a network that computes differently with a cache. */
    interface User {

        /** @param cache for the next pass; null for none */
        void use(KeyValueCache cache);
    }

    /** Rows of a pass: enough for BLAS, and few enough for scores of one head to stay in the processor's cache. */
    private static final int MOST_ROWS = 256;

    private final Map<String, CachedAttention> attentions = new HashMap<>();
    private int[] tokens = new int[0];
    /** Of how many tokens there are keys and values. */
    private int size;
    private int longest;
    private long reader;
    private final boolean watching;

    /** A cache that reads its tokens again when the network computes something else. */
    public KeyValueCache() {
        this(true);
    }

    private KeyValueCache(boolean watching) {
        this.watching = watching;
    }

    /** {@return a cache for several networks that compute the same and do not change, as those of a bank's session} */
    public static KeyValueCache ofSession() {
        return new KeyValueCache(false);
    }

    /**
     * Reads more of the text.
     *
     * @param network a causal language model
     * @param ids     at least one token, which follows those read so far
     * @return logits {@code [1, vocabulary]} of the token after the last
     * @throws IllegalArgumentException if the network is no causal language model, there is no id, one is outside the vocabulary,
     *                                  or there are no positions for so many tokens
     */
    public INDArray append(ComputationGraph network, int... ids) {
        synchronized (network) {
            CachedDecoder decoder = CachedDecoder.of(network);
            require(decoder, ids);
            long now = watching ? 31 * AdapterState.of(network) + System.identityHashCode(network) : reader;
            if (now != reader) {
                // Another network may have other heads, sizes and types.
                free();
            }
            reader = now;
            longest = decoder.positions();
            int[] all = Arrays.copyOf(tokens, tokens.length + ids.length);
            System.arraycopy(ids, 0, all, tokens.length, ids.length);
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                INDArray logits = null;
                while (size < all.length) {
                    int to = Math.min(size + MOST_ROWS, all.length);
                    logits = decoder.logits(rows(all, size, to), this);
                    size = to;
                }
                tokens = all;
                return logits;
            } finally {
                // A pass that failed was of tokens that were not read then.
                size = Math.min(size, tokens.length);
            }
        }
    }

    /** {@code [1, new tokens]}, of a type that has every id. */
    private static INDArray rows(int[] all, int from, int to) {
        return Nd4j.createFromArray(Arrays.copyOfRange(all, from, to)).castTo(DataType.FLOAT).reshape(1, to - from);
    }

    private void require(CachedDecoder decoder, int[] ids) {
        if (ids.length == 0) {
            throw new IllegalArgumentException("There is no token to read: give at least the one that begins a text");
        }
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] < 0 || ids[i] >= decoder.vocabulary()) {
                throw new IllegalArgumentException("Token id " + ids[i] + ", token " + (tokens.length + i) + " of the text, is "
                        + "outside the vocabulary of " + decoder.vocabulary() + " tokens: was the text tokenized by another "
                        + "model's tokenizer? A text to be continued has no padding");
            }
        }
        if (tokens.length + ids.length > decoder.positions()) {
            throw new IllegalArgumentException("The text has " + (tokens.length + ids.length) + " tokens, but the model has only "
                    + decoder.positions() + " positions: cut the beginning of the text");
        }
    }

    CachedAttention attention(String vertex, int heads) {
        return attentions.computeIfAbsent(vertex, name -> new CachedAttention(heads, longest));
    }

    /** {@return the number of tokens read so far} */
    public int size() {
        return size;
    }

    /** {@return how much memory keys and values take, with the room for more tokens} */
    public long bytes() {
        return attentions.values().stream().mapToLong(CachedAttention::bytes).sum();
    }

    /** {@return the longest text that the network can read} */
    public static int longestText(ComputationGraph network) {
        return CachedDecoder.of(network).positions();
    }

    /** {@return the number of token ids that the network knows} */
    public static int vocabulary(ComputationGraph network) {
        return CachedDecoder.of(network).vocabulary();
    }

    /** Frees keys and values; a text can be begun again. */
    @Override
    public void close() {
        free();
        tokens = new int[0];
    }

    private void free() {
        attentions.values().forEach(CachedAttention::close);
        attentions.clear();
        size = 0;
    }
}
