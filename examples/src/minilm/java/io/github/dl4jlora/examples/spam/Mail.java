package io.github.dl4jlora.examples.spam;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * An e-mail as it is learned from.
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
        try {
            return ByteBuffer.wrap(MessageDigest.getInstance("SHA-256").digest(opening.getBytes(StandardCharsets.UTF_8)))
                    .getLong();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java has SHA-256", e);
        }
    }
}
