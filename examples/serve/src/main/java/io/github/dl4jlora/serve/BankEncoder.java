package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.TextSettings;
import io.github.dl4jlora.transformers.TransformerShape;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;

/**
 * A sentence encoder in a bank, for callers that do not wait and whose texts may already be tokens;
 * {@link io.github.dl4jlora.models.encoder.SentenceEncoder} is for one caller that waits.
 */
final class BankEncoder {

    /** The most characters of a text that are looked at: many times as many as there may be tokens. */
    static final int LONGEST_LOOKED_AT = 1 << 16;
    /** Characters of a text that are looked at first, for each token that counts, and the factor for every next look. */
    private static final int LOOKED_AT_FIRST = 8;
    private static final int NEXT = 4;
    private static final String SEND_TEXTS = "Send the text if another model's tokenizer made the tokens; langchain's "
            + "OpenAIEmbeddings sends texts with check_embedding_ctx_length=False";
    /** In characters; longer words are unknown. */
    private static final int LONGEST_WORD = 200;

    private final String name;
    private final TransformerShape shape;
    private final int width;
    private final TextSettings texts;
    private final Tokenizer tokenizer;
    private final Tokenizer.Around around;

    /** @param tokenizer the model's; not closed by this */
    BankEncoder(PretrainedEncoder model, Tokenizer tokenizer) {
        this(model.modelName(), model.shape(), model.shape().hidden(), model.textSettings(), tokenizer);
    }

    /**
     * Any sentence encoder.
     *
     * @param name      by which clients may ask for it
     * @param shape     of the transformer
     * @param width     of an embedding
     * @param texts     its prompts
     * @param tokenizer its own; not closed by this
     */
    BankEncoder(String name, TransformerShape shape, int width, TextSettings texts, Tokenizer tokenizer) {
        this.name = name;
        this.shape = shape;
        this.width = width;
        this.texts = texts;
        this.tokenizer = tokenizer;
        this.around = tokenizer.around();
    }

    /**
     * {@return the sentence encoder of a folder, by whose name clients may ask for it} A text is embedded: this tells the width,
     * and whether tokenizer and network belong together.
     *
     * @param checkpoint the folder's
     * @param tokenizer  the folder's; not closed by this
     * @param network    embeddings of ids
     * @throws CheckpointException if the network cannot read what the tokenizer makes of a text
     * @throws IOException         if the folder's prompts cannot be read
     */
    static BankEncoder of(Path folder, Checkpoint checkpoint, Tokenizer tokenizer, UnaryOperator<INDArray> network)
            throws IOException {
        try {
            int width = (int) network.apply(tokenizer.batch(List.of("A text."))).size(1);
            return new BankEncoder(ServedModel.name(folder), checkpoint.shape(), width, checkpoint.textSettings(), tokenizer);
        } catch (IllegalArgumentException | DL4JInvalidInputException e) {
            throw new CheckpointException(folder + ": the network cannot read what tokenizer.json makes of a text: "
                    + e.getMessage(), e);
        }
    }

    /** The model's common name. */
    String name() {
        return name;
    }

    /** How many numbers an embedding has. */
    int width() {
        return width;
    }

    /** The model's prompts. */
    TextSettings texts() {
        return texts;
    }

    /**
     * A text as tokens; a text that is too long is cut. Of a very long text, only as much is looked at as has all tokens that
     * count.
     *
     * @throws IllegalArgumentException if the part of a very long text that is looked at has too few tokens, or a text has none
     */
    Tokenizer.Tokens tokens(String text) {
        int most = Math.min(text.length(), LONGEST_LOOKED_AT);
        for (int looked = (int) Math.min(most, LOOKED_AT_FIRST * (long) maxTokens()); looked < most; looked *= NEXT) {
            String part = part(text, looked);
            Tokenizer.Tokens some = part == null ? null : tokenizer.tokens(part);
            if (some != null && some.isCut()) {
                // More text would change nothing, but keep others waiting: eight megabytes take seconds.
                return some;
            }
        }
        if (text.length() <= LONGEST_LOOKED_AT) {
            Tokenizer.Tokens tokens = tokenizer.tokens(text);
            if (tokens.ids().length == 0) {
                throw new IllegalArgumentException("A text has no token: \"" + text + "\". This model's tokenizer puts none "
                        + "around texts, so a text must not be empty. Leave it out");
            }
            return tokens;
        }
        String part = part(text, LONGEST_LOOKED_AT);
        // Anything longer than what has no gap is not a word of the model, cut or not.
        Tokenizer.Tokens tokens = tokenizer.tokens(part == null ? wholeCharacters(text, tokenizer) : part);
        if (!tokens.isCut()) {
            throw new IllegalArgumentException("An input has " + text.length() + " characters, of which the "
                    + (tokenizer.cutsBeginnings() ? "last " : "first ") + LONGEST_LOOKED_AT + " have only "
                    + tokens.ids().length + " tokens. Send texts without long gaps");
        }
        return tokens;
    }

    /** The part to look at, from the end of the text that counts up to a gap; null if there is none near. */
    private String part(String text, int looked) {
        if (tokenizer.cutsBeginnings()) {
            int begin = gap(text, text.length() - looked, 1);
            return begin < 0 ? null : text.substring(begin);
        }
        int end = gap(text, looked, -1);
        return end < 0 ? null : text.substring(0, end);
    }

    /** The part to look at of a very long text, gap or not; it takes no character apart. */
    static String wholeCharacters(String text, Tokenizer tokenizer) {
        int place = tokenizer.cutsBeginnings() ? text.length() - LONGEST_LOOKED_AT : LONGEST_LOOKED_AT;
        boolean isInside = Character.isLowSurrogate(text.charAt(place));
        return tokenizer.cutsBeginnings() ? text.substring(isInside ? place + 1 : place)
                : text.substring(0, isInside ? place - 1 : place);
    }

    /** Where a token begins, whatever precedes it; negative if there is no such place near. */
    private static int gap(String text, int from, int step) {
        int blank = place(BankEncoder::isBlank, text, from, step);
        return blank >= 0 ? blank : place(BankEncoder::isToken, text, from, step);
    }

    private static int place(IntPredicate kind, String text, int from, int step) {
        for (int i = from; i > 0 && i < text.length() && Math.abs(i - from) < LONGEST_WORD; i += step) {
            if (kind.test(text.charAt(i))) {
                return i;
            }
        }
        return -1;
    }

    /** Whether all tokenizers begin a token here; BERT's ignores other control characters. */
    private static boolean isBlank(int c) {
        return Character.isSpaceChar(c) || c == '\t' || c == '\n' || c == '\r';
    }

    /**
     * Whether BERT's tokenizer takes the character for a token. Others may have tokens of several such characters, but what is
     * cut off changes only tokens near, and those that count are far from here: in texts without blanks tokens are short.
     */
    private static boolean isToken(int c) {
        return c > ' ' && c < 0x7f && !Character.isLetterOrDigit(c) || c >= 0x4e00 && c <= 0x9fff;
    }

    int maxTokens() {
        return tokenizer.maxTokens();
    }

    /** As {@link #tokens(String)}; at most so many tokens of the text itself. */
    Tokenizer.Tokens tokens(String text, int most) {
        int longest = (int) Math.min(maxTokens(), (long) most + around.before().length + around.after().length);
        return tokens(text).cut(longest, tokenizer.last(around, longest));
    }

    /**
     * Checks tokens that a client made.
     *
     * @throws Problem if these are not tokens of this model
     */
    Tokenizer.Tokens checked(int[] ids) {
        if (ids.length == 0 || ids.length > tokenizer.maxTokens()) {
            throw Problem.badRequest("An input has " + ids.length + " tokens; it may have 1 to " + tokenizer.maxTokens());
        }
        for (int id : ids) {
            if (id < 0 || id >= shape.vocabulary() || id == tokenizer.padding()) {
                throw Problem.badRequest("An input has the token " + id + "; those of " + name + " are 0 to "
                        + (shape.vocabulary() - 1) + (tokenizer.padding() < 0 ? "" : " without " + tokenizer.padding()
                        + ", which is padding") + ". " + SEND_TEXTS);
            }
        }
        // Ids of another model's tokenizer may be in range, but would give the vector of another text.
        if (!around.isAround(ids)) {
            throw Problem.badRequest("An input has token ids from " + ids[0] + " to " + ids[ids.length - 1] + ", but those of "
                    + name + " begin with " + Arrays.toString(around.before()) + " and end with "
                    + Arrays.toString(around.after()) + ". " + SEND_TEXTS);
        }
        return new Tokenizer.Tokens(ids, false);
    }

    /**
     * Computes embeddings.
     *
     * @param bank answers requests
     * @return one for each text, {@code [hidden]}
     */
    CompletableFuture<float[][]> embed(AdapterMix mix, List<int[]> texts,
                                       Function<BankRequest, CompletableFuture<INDArray[]>> bank) {
        PaddedBatches batches = new PaddedBatches(texts.stream().mapToInt(ids -> ids.length).toArray(),
                shape.longestText());
        return batches.rows((batch, length) -> BankRequest.of(mix, Tokenizer.padded(batch.stream().map(texts::get).toList(),
                tokenizer.padding(), length)), bank);
    }
}
