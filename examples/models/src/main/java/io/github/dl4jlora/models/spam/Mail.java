package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.models.StableHash;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * An e-mail to train or to test on.
 *
 * @param text subject and text
 */
record Mail(String text, boolean spam) {

    private static final int OPENING_WORDS = 25;

    /**
     * A number that looks random and is the same for mails that open alike: the same mail sent twice or to two people,
     * issues of a newsletter. Figures, addresses, case and punctuation do not count.
     */
    long hash() {
        String opening = Arrays.stream(text.toLowerCase(Locale.ROOT).split("\\s+")).filter(word -> !word.matches(".*[@/\\d].*"))
                .map(word -> word.replaceAll("\\P{L}", "")).filter(word -> !word.isEmpty()).limit(OPENING_WORDS)
                .collect(Collectors.joining(" "));
        return StableHash.of(opening);
    }
}
