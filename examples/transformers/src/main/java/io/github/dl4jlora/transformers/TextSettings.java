package io.github.dl4jlora.transformers;

import java.util.Locale;
import java.util.Map;

/**
 * What a model of sentence-transformers expects of texts, besides its tokenizer. Whoever cuts texts into tokens does this first:
 *
 * <pre>
 * TextSettings settings = checkpoint.textSettings();
 * String query = settings.prepared("query", text);        // "query: what is LoRA?"
 * </pre>
 *
 * @param prompts       texts that go before a text, by their names, such as {@code query} and {@code passage}
 * @param defaultPrompt the name of the prompt that goes before texts if none is named; null for none
 * @param maxTokens     of a text, the tokens that begin and end it included: longer ones are to be cut
 * @param lowerCase     whether texts are to be put into small letters; most tokenizers do that themselves
 */
public record TextSettings(Map<String, String> prompts, String defaultPrompt, int maxTokens, boolean lowerCase) {

    /** {@return a text as it is to be cut into tokens, with the default prompt before it, if there is one} */
    public String prepared(String text) {
        return with(defaultPrompt == null ? "" : prompts.get(defaultPrompt), text);
    }

    /**
     * {@return a text as it is to be cut into tokens}
     *
     * @param prompt the name of the prompt that goes before it
     * @throws IllegalArgumentException if there is no prompt of that name
     */
    public String prepared(String prompt, String text) {
        String before = prompts.get(prompt);
        if (before == null) {
            throw new IllegalArgumentException("There is no prompt named \"" + prompt + "\"; the model has "
                    + (prompts.isEmpty() ? "none" : prompts.keySet()) + ". Name one of these, or use prepared(text)");
        }
        return with(before, text);
    }

    private String with(String before, String text) {
        String whole = (before + text).strip();
        return lowerCase ? whole.toLowerCase(Locale.ROOT) : whole;
    }
}
