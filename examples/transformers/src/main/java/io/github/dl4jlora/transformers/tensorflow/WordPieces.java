package io.github.dl4jlora.transformers.tensorflow;

import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The vocabulary of a BERT, a token in each line of {@code vocab.txt}, as the description of a tokenizer that Hugging Face's
 * libraries read, {@code tokenizer.json}: WordPiece (Wu et al. 2016, arXiv:1609.08144) on words that BERT's rules cut off,
 * between {@code [CLS]} and {@code [SEP]}.
 *
 * @param file as it was found
 * @param ids  by token, in the order of the ids
 */
record WordPieces(byte[] file, Map<String, Integer> ids) {

    private static final int LARGEST = 64 << 20;
    private static final int LONGEST_WORD = 100;
    private static final String UNKNOWN = "[UNK]";
    private static final String FIRST = "[CLS]";
    private static final String LAST = "[SEP]";
    private static final String CONTINUING = "##";
    private static final List<String> SPECIAL = List.of("[PAD]", UNKNOWN, FIRST, LAST, "[MASK]");

    /**
     * @param size how many tokens the network knows
     * @throws IOException naming the file, if it is missing, or not such a vocabulary
     */
    static WordPieces read(Path vocabulary, long size) throws IOException {
        if (!Files.isRegularFile(vocabulary) || Files.size(vocabulary) > LARGEST) {
            throw new IOException(vocabulary + " does not exist, is not a file, or is larger than " + LARGEST + " bytes");
        }
        byte[] file = Files.readAllBytes(vocabulary);
        Map<String, Integer> ids = new LinkedHashMap<>();
        for (String token : text(vocabulary, file).split("\r?\n")) {
            Integer before = ids.put(token, ids.size());
            if (before != null) {
                throw new IOException(vocabulary + " has the token \"" + token + "\" more than once, first in "
                        + "line " + (before + 1));
            }
        }
        if (ids.size() != size) {
            throw new IOException(vocabulary + " has " + ids.size() + " tokens, but the network knows " + size);
        }
        for (String token : SPECIAL) {
            if (!ids.containsKey(token)) {
                throw new IOException(vocabulary + " has no token " + token);
            }
        }
        return new WordPieces(file, ids);
    }

    private static String text(Path vocabulary, byte[] file) throws IOException {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(file)).toString();
        } catch (CharacterCodingException e) {
            throw new IOException(vocabulary + " is not text in UTF-8", e);
        }
    }

    /** The id of the token that fills up short texts. */
    int padding() {
        return ids.get(SPECIAL.get(0));
    }

    /**
     * https://huggingface.co/docs/tokenizers describes the parts.
     *
     * @param lowerCase whether the network knows only lower-case letters without accents
     */
    byte[] tokenizerJson(boolean lowerCase) throws IOException {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("version", "1.0");
        json.put("truncation", null);
        json.put("padding", null);
        json.put("added_tokens", SPECIAL.stream().map(this::added).toList());
        Map<String, Object> normalizer = new LinkedHashMap<>();
        normalizer.put("type", "BertNormalizer");
        normalizer.put("clean_text", true);
        normalizer.put("handle_chinese_chars", true);
        // Null means: as lowercase says.
        normalizer.put("strip_accents", null);
        normalizer.put("lowercase", lowerCase);
        json.put("normalizer", normalizer);
        json.put("pre_tokenizer", Map.of("type", "BertPreTokenizer"));
        json.put("post_processor", Map.of("type", "TemplateProcessing",
                "single", List.of(special(FIRST, 0), sequence("A", 0), special(LAST, 0)),
                "pair", List.of(special(FIRST, 0), sequence("A", 0), special(LAST, 0), sequence("B", 1), special(LAST, 1)),
                "special_tokens", Map.of(FIRST, inserted(FIRST), LAST, inserted(LAST))));
        json.put("decoder", Map.of("type", "WordPiece", "prefix", CONTINUING, "cleanup", true));
        json.put("model", Map.of("type", "WordPiece", "unk_token", UNKNOWN, "continuing_subword_prefix", CONTINUING,
                "max_input_chars_per_word", LONGEST_WORD, "vocab", ids));
        return new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsBytes(json);
    }

    private Map<String, Object> added(String token) {
        Map<String, Object> added = new LinkedHashMap<>();
        added.put("id", ids.get(token));
        added.put("content", token);
        for (String absent : List.of("single_word", "lstrip", "rstrip", "normalized")) {
            added.put(absent, false);
        }
        added.put("special", true);
        return added;
    }

    private static Map<String, Object> special(String token, int type) {
        return Map.of("SpecialToken", Map.of("id", token, "type_id", type));
    }

    private static Map<String, Object> sequence(String name, int type) {
        return Map.of("Sequence", Map.of("id", name, "type_id", type));
    }

    private Map<String, Object> inserted(String token) {
        return Map.of("id", token, "ids", List.of(ids.get(token)), "tokens", List.of(token));
    }
}
