package io.github.dl4jlora.transformers;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.transformers.layer.KeyValueCache;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.util.Arrays;
import java.util.Random;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/**
 * Writes text with GPT-2: reads a prompt, chooses the next token by its logits, reads that one, and so on.
 *
 * <pre>
 * Generation text = Generation.of(network).maxNewTokens(50).temperature(0.8).topK(50).topP(0.95).seed(1).stopAt(50256).build();
 * int[] written = text.generate(prompt);
 * </pre>
 *
 * <p>Without temperature, top-k and top-p it is the likeliest token each time. Each token is read once, since keys and values of
 * those before it are kept for the length of a call ({@link KeyValueCache}). Nothing of them is in the network, which may be
 * trained, be given other adapters, and compute something else before a text, after it, and between two of its tokens. Adapters
 * that change between two tokens count from then on, for the text so far too.
 *
 * <p>Any number of threads may use one object, and several objects one network: passes wait for each other. Training the network
 * at the same time is as impossible as ever in DL4J. A bank has no such limits.
 */
public final class Generation {

    /** As many new tokens as there are positions. */
    private static final int ALL = 0;

    private final Supplier<TextReader> readers;
    private final Sampling sampling;
    private final int least;
    private final int most;
    private final int[] stops;
    private final Long seed;

    private Generation(Builder builder) {
        this.readers = builder.readers;
        this.sampling = new Sampling(builder.random, builder.temperature, builder.topK, builder.topP);
        this.least = builder.least;
        this.most = builder.most;
        this.stops = builder.stops.clone();
        this.seed = builder.seed;
    }

    /**
     * Text by a network.
     *
     * @param network a causal language model, adapted or not: {@link Checkpoint#causalLanguageModel}, {@link Head#nextWord}
     * @throws IllegalArgumentException if it is another network
     */
    public static Builder of(ComputationGraph network) {
        KeyValueCache.longestText(network);
        return new Builder(() -> new TextReader.OwnNetwork(network));
    }

    /**
     * Text by the base of a bank with a mix of adapters, which are looked up when {@link #generate} is called and stay the same
     * to the end of the text.
     *
     * @param bank of a causal language model
     * @param mix  of its adapters; {@code AdapterMix.of(AdapterBank.BASE)} for none
     */
    public static Builder of(AdapterBank bank, AdapterMix mix) {
        return new Builder(() -> new TextReader.Session(bank.session(mix)));
    }

    /** Text by the base of a bank with one adapter; see {@link #of(AdapterBank, AdapterMix)}. */
    public static Builder of(AdapterBank bank, String adapter) {
        return of(bank, AdapterMix.of(adapter));
    }

    /**
     * Continues a text.
     *
     * @param prompt token ids; none of them is padding
     * @return the new tokens, without the prompt. A stop token is the last of them
     * @throws IllegalArgumentException if the prompt is null or empty, has an id outside the vocabulary, or fills the positions
     *                                  of the model, if {@code maxNewTokens} is set and so many do not fit after the prompt, or
     *                                  if a stop token is outside the vocabulary
     * @throws IllegalStateException    if a logit is NaN or infinite
     */
    public int[] generate(int... prompt) {
        return generate(prompt, token -> { });
    }

    /**
     * Continues a text, and tells each token when it is chosen.
     *
     * @param prompt token ids; none of them is padding
     * @param each   is given each new token; what it throws ends the text
     * @return as {@link #generate(int...)}, which says what is thrown, too
     */
    public int[] generate(int[] prompt, IntConsumer each) {
        if (prompt == null) {
            throw new IllegalArgumentException("The prompt is null: give the token ids of a text, at least the one that begins a "
                    + "text");
        }
        try (TextReader reader = readers.get(); KeyValueCache cache = reader.cache()) {
            requireStops(reader.compute(KeyValueCache::vocabulary));
            int room = room(prompt, reader.compute(KeyValueCache::longestText));
            Random random = seed == null ? new Random() : new Random(seed);
            int[] written = new int[room];
            int count = 0;
            int[] unread = prompt;
            while (count < room && (count == 0 || !isStop(written[count - 1]))) {
                int token = sampling.choose(logits(reader, cache, unread, count), random);
                written[count++] = token;
                each.accept(token);
                unread = new int[]{token};
            }
            return Arrays.copyOf(written, count);
        }
    }

    private void requireStops(int vocabulary) {
        for (int stop : stops) {
            if (stop >= vocabulary) {
                throw new IllegalArgumentException("The stop token " + stop + " is outside the vocabulary of " + vocabulary
                        + " tokens and would never be chosen: is it another model's?");
            }
        }
    }

    private int room(int[] prompt, int longest) {
        int room = longest - prompt.length;
        if (room <= 0 || room < most) {
            throw new IllegalArgumentException("The prompt has " + prompt.length + " tokens and the model " + longest
                    + " positions, so that there is room for " + Math.max(room, 0) + " new tokens"
                    + (most == ALL ? "" : ", not for " + most) + ": cut the beginning of the prompt"
                    + (room <= 0 ? "" : ", or set maxNewTokens to at most " + room));
        }
        return most == ALL ? room : most;
    }

    private double[] logits(TextReader reader, KeyValueCache cache, int[] unread, int count) {
        double[] logits = reader.compute(network -> cache.append(network, unread)).dup('c').data().asDouble();
        if (count < least) {
            for (int stop : stops) {
                logits[stop] = Double.NEGATIVE_INFINITY;
            }
        }
        return logits;
    }

    private boolean isStop(int token) {
        return Arrays.stream(stops).anyMatch(stop -> stop == token);
    }

    /** Collects what text is wanted. */
    public static final class Builder {

        private final Supplier<TextReader> readers;
        private boolean random;
        private double temperature = 1;
        private int topK;
        private double topP = 1;
        private int least;
        private int most = ALL;
        private int[] stops = {};
        private Long seed;

        private Builder(Supplier<TextReader> readers) {
            this.readers = readers;
        }

        /**
         * How many tokens there may be after the prompt; otherwise the text ends with the model's positions at the latest.
         *
         * @throws IllegalArgumentException if it is less than 1
         */
        public Builder maxNewTokens(int tokens) {
            require(tokens >= 1, "maxNewTokens is " + tokens + ", but must be at least 1");
            this.most = tokens;
            return this;
        }

        /**
         * Before so many new tokens no stop token is chosen.
         *
         * @throws IllegalArgumentException if it is negative
         */
        public Builder minNewTokens(int tokens) {
            require(tokens >= 0, "minNewTokens is " + tokens + ", but must not be negative");
            this.least = tokens;
            return this;
        }

        /**
         * Tokens are chosen at random, by the softmax of logits / temperature: below 1 likely ones more often, above 1 less.
         *
         * @throws IllegalArgumentException if it is not above 0, or infinite
         */
        public Builder temperature(double value) {
            require(value > 0 && value < Double.POSITIVE_INFINITY, "The temperature is " + value + ", but must be above 0. For "
                    + "the likeliest token each time, set neither temperature nor topK nor topP");
            this.temperature = value;
            this.random = true;
            return this;
        }

        /**
         * Tokens are chosen at random, among this many of the likeliest.
         *
         * @throws IllegalArgumentException if it is less than 1
         */
        public Builder topK(int tokens) {
            require(tokens >= 1, "topK is " + tokens + ", but must be at least 1");
            this.topK = tokens;
            this.random = true;
            return this;
        }

        /**
         * Tokens are chosen at random, among the fewest that have this probability together; at least one. That is after topK.
         *
         * @throws IllegalArgumentException if it is not above 0 and at most 1
         */
        public Builder topP(double probability) {
            require(probability > 0 && probability <= 1, "topP is " + probability + ", but must be above 0 and at most 1");
            this.topP = probability;
            this.random = true;
            return this;
        }

        /** The same seed gives the same text. Without one, tokens that are chosen at random are others each time. */
        public Builder seed(long value) {
            this.seed = value;
            return this;
        }

        /**
         * Tokens after which the text ends, such as 50256, GPT-2's end of a text.
         *
         * @throws IllegalArgumentException if one is negative
         */
        public Builder stopAt(int... tokens) {
            for (int token : tokens) {
                require(token >= 0, "The stop token " + token + " is negative");
            }
            this.stops = tokens.clone();
            return this;
        }

        /**
         * {@return what writes such text}
         *
         * @throws IllegalArgumentException if there must be more new tokens than there may be
         */
        public Generation build() {
            require(most == ALL || least <= most, "minNewTokens is " + least + ", but maxNewTokens is " + most);
            return new Generation(this);
        }

        private static void require(boolean condition, String message) {
            if (!condition) {
                throw new IllegalArgumentException(message);
            }
        }
    }
}
