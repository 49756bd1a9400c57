package io.github.dl4jlora.serve;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Copies of the transformers' tiny checkpoints, with tokenizers for a few words. */
final class TinyFolder {

    private static final Path CHECKPOINTS = Path.of("../transformers/src/test/resources/checkpoints");

    private TinyFolder() {
    }

    /** {@return tokenizer.json, of what it puts around texts, its padding if it has one, and the rest, its model among it} */
    static String tokenizer(String begin, int beginId, String end, int endId, String padding, String rest) {
        return """
                {"version": "1.0", "truncation": null, "padding": null, "decoder": null,
                 "added_tokens": [%s],
                 "post_processor": {"type": "TemplateProcessing",
                   "single": [{"SpecialToken": {"id": "BEGIN", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                              {"SpecialToken": {"id": "END", "type_id": 0}}],
                   "pair": [{"SpecialToken": {"id": "BEGIN", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                            {"SpecialToken": {"id": "END", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
                            {"SpecialToken": {"id": "END", "type_id": 1}}],
                   "special_tokens": {"BEGIN": {"id": "BEGIN", "ids": [%d], "tokens": ["BEGIN"]},
                                      "END": {"id": "END", "ids": [%d], "tokens": ["END"]}}}, %s}
                """.formatted(padding, beginId, endId, rest).replace("BEGIN", begin).replace("END", end);
    }

    private static String added(String token, int id) {
        return ("{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                + "\"normalized\": false, \"special\": true}").formatted(id, token);
    }

    /** As BERT's; pads with 0. */
    static final String WORD_PIECE = tokenizer("[CLS]", 2, "[SEP]", 10, added("[PAD]", 0), """
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": {"[PAD]": 0, "[UNK]": 3, "[CLS]": 2, "[SEP]": 10, "free": 4, "##ly": 5,
              "cash": 6, "query": 7, "passage": 8, ":": 9}}
            """);
    /** As MPNet's; pads with 1. */
    static final String WORD_PIECE_OF_MPNET = tokenizer("<s>", 0, "</s>", 2, added("<pad>", 1), """
            "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "[UNK]": 3, "free": 4, "##ly": 5,
              "cash": 6, "query": 7, "passage": 8, ":": 9}}
            """);
    /** As those of XLM-RoBERTa and CamemBERT, which were sentencepiece's; pads with 1. */
    static final String UNIGRAM = tokenizer("<s>", 0, "</s>", 2, added("<pad>", 1), """
            "normalizer": {"type": "NFKC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
              {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true}]},
            "model": {"type": "Unigram", "unk_id": 3, "vocab": [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0],
              ["▁free", -1.0], ["ly", -2.0], ["▁cash", -1.5], ["▁query", -2.0], ["▁passage", -2.0], [":", -2.0]]}
            """);

    /** {@return the folder that a copy of a checkpoint is in} */
    static Path copy(String checkpoint, String tokenizer, Path to) throws IOException {
        Path from = CHECKPOINTS.resolve(checkpoint);
        try (Stream<Path> all = Files.walk(from)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                Path copy = to.resolve(from.relativize(file).toString());
                Files.createDirectories(copy.getParent());
                Files.copy(file, copy);
            }
        }
        Files.writeString(to.resolve("tokenizer.json"), tokenizer);
        return to;
    }
}
