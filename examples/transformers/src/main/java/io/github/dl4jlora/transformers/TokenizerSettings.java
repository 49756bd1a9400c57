package io.github.dl4jlora.transformers;

import java.util.Collections;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What transformers sets over a folder's {@code tokenizer.json} when it opens the folder, as its versions 4 do.
 *
 * @param normalizer     settings of BERT's normalizer by their names in {@code tokenizer_config.json}, {@code do_lower_case},
 *                       {@code strip_accents} and {@code tokenize_chinese_chars}; an empty value is Python's {@code None}. An
 *                       empty map leaves the normalizer to {@code tokenizer.json}
 * @param cutsBeginnings whether texts that are too long lose their beginning, or else their end; empty if {@code tokenizer.json}
 *                       alone says it
 */
public record TokenizerSettings(Map<String, Optional<Boolean>> normalizer, Optional<Boolean> cutsBeginnings) {

    public TokenizerSettings {
        normalizer = Collections.unmodifiableMap(new TreeMap<>(Objects.requireNonNull(normalizer, "The settings of the "
                + "normalizer are null; an empty map stands for none")));
        Objects.requireNonNull(cutsBeginnings, "cutsBeginnings is null; Optional.empty() stands for what tokenizer.json says");
    }
}
