package io.github.dl4jlora.models.encoder;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import io.github.dl4jlora.transformers.CheckpointException;
import io.github.dl4jlora.transformers.TokenizerSettings;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.node.ObjectNode;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Cuts texts into tokens with the model's own tokenizer. DL4J's WordPiece tokenizer gives other tokens for some texts,
 * and those other embeddings.
 */
public final class Tokenizer implements AutoCloseable {

    static {
        // Uses the native library in the jar: looks for none that suits a graphics card, and downloads none.
        System.setProperty("RUST_FLAVOR", "cpu");
        System.setProperty("ai.djl.offline", "true");
    }

    private static final Logger LOG = LoggerFactory.getLogger(Tokenizer.class);
    private static final List<String> MASKS = List.of("[MASK]", "<mask>");
    private static final List<String> UNKNOWN = List.of("[UNK]", "<unk>");
    private static final List<String> PADDING = List.of("[PAD]", "<pad>");

    private final HuggingFaceTokenizer tokenizer;
    private final int maxTokens;
    private final int padding;
    private final int unknown;
    private final int aroundPairs;
    private final boolean cutsBeginnings;

    /**
     * A model's own, which pads with its {@code [PAD]} or {@code <pad>}, and with 0 if it has neither.
     *
     * @param json      {@code tokenizer.json}
     * @param maxTokens longer texts are cut, what the tokenizer puts around them included; at least 2
     * @throws IOException naming the file, if it is not there, or describes no tokenizer
     */
    public Tokenizer(Path json, int maxTokens) throws IOException {
        this(json.toString(), Files.newInputStream(json), maxTokens, OptionalInt.empty());
    }

    /**
     * A checkpoint's own, which pads as its network expects. What transformers sets over tokenizer.json counts, too: small
     * letters, accents, Chinese characters, and at which end longer texts are cut. A warning says where that changes anything.
     *
     * @param folder    of the checkpoint
     * @param maxTokens longer texts are cut; the network's longest text is the most
     * @throws IOException naming the file, if there is no tokenizer.json, it describes no tokenizer, or it puts around texts what
     *                     the network takes for padding, or as {@link Checkpoint#tokenizerSettings}
     */
    public static Tokenizer of(Path folder, Checkpoint checkpoint, int maxTokens) throws IOException {
        Path json = checkpoint.tokenizer().orElseThrow(() -> new FileNotFoundException(folder + " has no tokenizer.json, which "
                + "cuts texts into tokens. Python writes it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"));
        TokenizerSettings settings = checkpoint.tokenizerSettings();
        Tokenizer tokenizer = new Tokenizer(json.toString(), normalizing(folder, json, settings.normalizer()),
                settings.cutsBeginnings(), Math.min(maxTokens, checkpoint.shape().longestText()),
                OptionalInt.of(checkpoint.shape().padding()));
        if (tokenizer.putsPaddingAroundTexts()) {
            String token = tokenizer.token(tokenizer.padding);
            tokenizer.close();
            throw new CheckpointException(json + " puts the token " + tokenizer.padding + ", \"" + token + "\", around each "
                    + "text, but this folder says that it is padding, which networks do not see. Set pad_token_id in config.json "
                    + "to the id of the tokenizer's padding token. In a folder of BERT or DistilBERT, pad_token of "
                    + "tokenizer_config.json comes first, if it is there");
        }
        return tokenizer;
    }

    private static TokenizerJson normalizing(Path folder, Path json, Map<String, Optional<Boolean>> settings) throws IOException {
        TokenizerJson own = TokenizerJson.of(Files.readAllBytes(json));
        ObjectNode other = own.otherThan(settings);
        if (other.isEmpty()) {
            return own;
        }
        ObjectNode set = other.deepCopy();
        other.fieldNames().forEachRemaining(name -> set.put(name, settings.get(name).orElse(null)));
        LOG.warn("{} has the settings {}, but transformers takes {}, as {} says or, where that is silent, by default. Texts "
                + "become tokens here as they do there. If tokenizer.json is right, write {} into tokenizer_config.json", json,
                other, set, folder.resolve("tokenizer_config.json"), other);
        return own.with(settings);
    }

    /** Networks know padding by its id alone. */
    private boolean putsPaddingAroundTexts() {
        return Arrays.stream(tokenizer.encode("").getIds()).anyMatch(id -> id == padding);
    }

    /**
     * @param name        for messages
     * @param description is closed
     * @param padding     empty: the tokenizer's own
     */
    Tokenizer(String name, InputStream description, int maxTokens, OptionalInt padding) throws IOException {
        this(name, json(description), Optional.empty(), maxTokens, padding);
    }

    private Tokenizer(String name, TokenizerJson json, Optional<Boolean> cutsBeginnings, int maxTokens, OptionalInt padding)
            throws IOException {
        if (maxTokens < 2) {
            throw new IllegalArgumentException("maxTokens is " + maxTokens + ", but must be at least 2: what begins and ends "
                    + "a text counts as well");
        }
        this.maxTokens = maxTokens;
        this.cutsBeginnings = cutsBeginnings.isPresent() ? cutsBeginnings.get() : json.cutsBeginnings();
        tokenizer = read(name, new ByteArrayInputStream(json.cutting(maxTokens, this.cutsBeginnings)), Map.of("padding", "false",
                "truncation", "true", "maxLength", Integer.toString(maxTokens), "modelMaxLength", Integer.toString(maxTokens)));
        aroundPairs = tokenizer.encode("", "").getIds().length;
        this.padding = padding.orElseGet(() -> firstOf(PADDING).orElse(0));
        unknown = firstOf(UNKNOWN).orElse(this.padding);
    }

    private static TokenizerJson json(InputStream description) throws IOException {
        try (description) {
            return TokenizerJson.of(description.readAllBytes());
        }
    }

    private static HuggingFaceTokenizer read(String name, InputStream description, Map<String, String> options)
            throws IOException {
        try {
            return HuggingFaceTokenizer.newInstance(description, options);
        } catch (RuntimeException e) {
            // What the native library makes of its own errors.
            throw new IOException(name + " describes no tokenizer: " + e.getMessage() + ". Write it again, or fetch the whole "
                    + "file", e);
        }
    }

    /**
     * A text's tokens.
     *
     * @param ids   {@code [CLS]} first and {@code [SEP]} last
     * @param isCut whether the text was longer
     */
    public record Tokens(int[] ids, boolean isCut) {

        /** {@return these, or as many of the first as there may be, and the last {@code end} of all, as {@link #last}} */
        public Tokens cut(int most, int end) {
            return ids.length <= most ? this : new Tokens(Tokenizer.cut(ids, most, end), true);
        }
    }

    /**
     * What the tokenizer puts around each text.
     *
     * @param before such as {@code [CLS]}; empty for none
     * @param after  such as {@code [SEP]}; empty for none
     */
    public record Around(int[] before, int[] after) {

        /** {@return whether these are the tokens of a text with that around it} */
        public boolean isAround(int[] ids) {
            return ids.length >= before.length + after.length && Arrays.equals(before, Arrays.copyOf(ids, before.length))
                    && Arrays.equals(after, Arrays.copyOfRange(ids, ids.length - after.length, ids.length));
        }
    }

    /** {@return what the tokenizer puts around each text} */
    public Around around() {
        return around(ids(""), ids("a"));
    }

    /** {@return what the tokenizer puts before the second text of a pair, the first text included, and after it} */
    public Around aroundSecond(String first) {
        return around(pair(first, "").ids, pair(first, "a").ids);
    }

    private static Around around(int[] none, int[] some) {
        // The longest beginning that both have.
        int place = Arrays.mismatch(none, some);
        int before = place < 0 ? none.length : place;
        return new Around(Arrays.copyOf(none, before), Arrays.copyOfRange(none, before, none.length));
    }

    /**
     * The tokens of two texts.
     *
     * @param ids   with what the tokenizer puts before, between and after them
     * @param types of each token, 0 in the first text and, where the model tells texts apart by types, 1 in the second
     * @param isCut whether the texts were longer
     */
    public record PairTokens(int[] ids, int[] types, boolean isCut) {

        /** {@return these, or as many of the first as there may be, and the last {@code end} of all, as {@link #last}} */
        public PairTokens cut(int most, int end) {
            return ids.length <= most ? this
                    : new PairTokens(Tokenizer.cut(ids, most, end), Tokenizer.cut(types, most, end), true);
        }
    }

    private static int[] cut(int[] all, int most, int end) {
        int[] cut = Arrays.copyOf(all, most);
        System.arraycopy(all, all.length - end, cut, most - end, end);
        return cut;
    }

    /**
     * The ids of one text's tokens, {@code [CLS]} first and {@code [SEP]} last. Where the text spells out the padding token, it
     * has the unknown token: networks take padding inside a text for a mistake.
     */
    public int[] ids(String text) {
        return tokens(text).ids;
    }

    /** As {@link #ids}, and whether there would have been more. */
    public Tokens tokens(String text) {
        Encoding encoding = tokenizer.encode(text);
        return new Tokens(ids(encoding), encoding.exceedMaxLength());
    }

    /**
     * Two texts as one, for a network that reads pairs. Where both are too long together, the longer one is cut.
     *
     * @param second comes after the first
     * @throws IllegalStateException if there may be no more tokens than go around the texts
     */
    public PairTokens pair(String first, String second) {
        if (maxTokens < aroundPairs) {
            throw new IllegalStateException("maxTokens is " + maxTokens + ", but this tokenizer puts " + aroundPairs
                    + " tokens around two texts. Make one that takes longer texts");
        }
        Encoding encoding = tokenizer.encode(first, second);
        return new PairTokens(ids(encoding), Arrays.stream(encoding.getTypeIds()).mapToInt(Math::toIntExact).toArray(),
                encoding.exceedMaxLength());
    }

    private int[] ids(Encoding encoding) {
        return Arrays.stream(encoding.getIds()).mapToInt(id -> id == padding ? unknown : (int) id).toArray();
    }

    /**
     * {@return the id of a token, such as {@code [MASK]}}
     *
     * @throws IllegalArgumentException if the tokenizer has none of that name
     */
    public int id(String token) {
        return find(token).orElseThrow(() -> new IllegalArgumentException("The tokenizer has no token \"" + token + "\""));
    }

    /**
     * {@return how a hole is written that a masked language model fills: {@code [MASK]} or, as RoBERTa has it, {@code <mask>}}
     *
     * @throws IllegalArgumentException if the tokenizer has neither
     */
    public String mask() {
        return MASKS.stream().filter(token -> find(token).isPresent()).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("The tokenizer has neither " + String.join(" nor ", MASKS)
                        + ": its network was trained to fill no holes"));
    }

    private OptionalInt firstOf(List<String> tokens) {
        return tokens.stream().map(this::find).flatMapToInt(OptionalInt::stream).findFirst();
    }

    private OptionalInt find(String token) {
        int[] ids = Arrays.stream(tokenizer.encode(token, false, false).getIds()).mapToInt(Math::toIntExact).toArray();
        return ids.length == 1 && token(ids[0]).equals(token) ? OptionalInt.of(ids[0]) : OptionalInt.empty();
    }

    /** {@return what a token's id stands for} */
    public String token(int id) {
        return tokenizer.decode(new long[] {id}, false).strip();
    }

    /** How many tokens of a text count. */
    public int maxTokens() {
        return maxTokens;
    }

    /** Whether longer texts lose their beginning, and not their end. */
    public boolean cutsBeginnings() {
        return cutsBeginnings;
    }

    /** {@return how many of the last tokens stay if tokens with that around their text are cut to {@code most}} */
    public int last(Around around, int most) {
        return cutsBeginnings ? most - around.before.length : around.after.length;
    }

    /** The id that a shorter text of a batch ends with. */
    public int padding() {
        return padding;
    }

    /** A network input {@code [texts, longest]}, padded. */
    public INDArray batch(List<String> texts) {
        return padded(texts.stream().map(this::ids).toList(), padding);
    }

    /** A network input {@code [texts, longest]} of token ids, padded with 0. */
    public static INDArray padded(List<int[]> texts) {
        return padded(texts, 0);
    }

    /** A network input {@code [texts, longest]} of token ids, padded with another. */
    public static INDArray padded(List<int[]> texts, int padding) {
        return padded(texts, padding, texts.stream().mapToInt(ids -> ids.length).max().orElseThrow());
    }

    /** A network input {@code [texts, length]} of token ids, none of which is longer, padded to a length. */
    public static INDArray padded(List<int[]> texts, int padding, int length) {
        float[] batch = new float[texts.size() * length];
        Arrays.fill(batch, padding);
        for (int text = 0; text < texts.size(); text++) {
            int[] ids = texts.get(text);
            for (int i = 0; i < ids.length; i++) {
                batch[text * length + i] = ids[i];
            }
        }
        return Nd4j.create(batch, new long[]{texts.size(), length}, 'c').castTo(DataType.FLOAT);
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
