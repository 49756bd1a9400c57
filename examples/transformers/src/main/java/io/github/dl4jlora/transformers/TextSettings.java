package io.github.dl4jlora.transformers;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * What a model of sentence-transformers expects of texts, besides its tokenizer. Whoever cuts texts into tokens does this first:
 *
 * <pre>
 * TextSettings settings = checkpoint.textSettings();
 * String query = settings.prepared("query", text);        // "query: what is LoRA?"
 * </pre>
 *
 * <p>Prompts of one's own are written by {@link Checkpoint#withTextSettings}:
 *
 * <pre>
 * TextSettings own = settings.withPrompt("query", "query: ").withPrompt("document", "passage: ");
 * checkpoint.withTextSettings(own).writeCheckpoint(network, folder);
 * </pre>
 *
 * @param prompts       texts that go before a text, by their names, such as {@code query} and {@code passage}
 * @param defaultPrompt the name of the prompt that goes before texts if none is named; null for none
 * @param maxTokens     of a text, the tokens that begin and end it included: longer ones are to be cut
 * @param lowerCase     whether texts are to be put into small letters; most tokenizers do that themselves
 */
public record TextSettings(Map<String, String> prompts, String defaultPrompt, int maxTokens, boolean lowerCase) {

    /** @throws IllegalArgumentException if the default prompt is none of the prompts, or the longest text has no token */
    public TextSettings {
        prompts = Collections.unmodifiableMap(new LinkedHashMap<>(Objects.requireNonNull(prompts, "The prompts are null; an "
                + "empty map stands for none")));
        prompts.forEach((name, text) -> {
            Objects.requireNonNull(name, "The name of the prompt is null");
            Objects.requireNonNull(text, () -> "The text of the prompt \"" + name + "\" is null; an empty text is a prompt too");
        });
        if (defaultPrompt != null && !prompts.containsKey(defaultPrompt)) {
            throw unknown(defaultPrompt, prompts, "Add it by withPrompt, or name one of these, or null for none");
        }
        if (maxTokens < 1) {
            throw new IllegalArgumentException("The longest text has " + maxTokens + " tokens, but must have at least 1");
        }
    }

    /** {@return these settings with a prompt more, or with another text for a prompt of this name} */
    public TextSettings withPrompt(String name, String text) {
        Map<String, String> more = new LinkedHashMap<>(prompts);
        more.put(name, text);
        return new TextSettings(more, defaultPrompt, maxTokens, lowerCase);
    }

    /** {@return these settings without any prompt} */
    public TextSettings withoutPrompts() {
        return new TextSettings(Map.of(), null, maxTokens, lowerCase);
    }

    /**
     * {@return these settings with another default prompt}
     *
     * @param name of one of the prompts; null for none
     * @throws IllegalArgumentException if there is no prompt of that name
     */
    public TextSettings withDefaultPrompt(String name) {
        return new TextSettings(prompts, name, maxTokens, lowerCase);
    }

    /**
     * {@return these settings with another longest text}
     *
     * @throws IllegalArgumentException if it has no token
     */
    public TextSettings withMaxTokens(int tokens) {
        return new TextSettings(prompts, defaultPrompt, tokens, lowerCase);
    }

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
            throw unknown(prompt, prompts, "Name one of these, or use prepared(text)");
        }
        return with(before, text);
    }

    /**
     * {@return a query as it is to be cut into tokens: with the prompt that is named {@code query}, or else the default prompt}
     * {@code encode_query} of sentence-transformers takes no prompt where none is named {@code query}.
     */
    public String query(String text) {
        return prepared(List.of("query"), text);
    }

    /**
     * {@return a text that a query may find, as it is to be cut into tokens: with the prompt that is named {@code document},
     * {@code passage} or {@code corpus}, the first of these that there is, or else the default prompt}
     * {@code encode_document} of sentence-transformers takes no prompt where none is named {@code document}.
     */
    public String document(String text) {
        return prepared(List.of("document", "passage", "corpus"), text);
    }

    private String prepared(List<String> names, String text) {
        return names.stream().filter(prompts::containsKey).findFirst().map(name -> prepared(name, text))
                .orElseGet(() -> prepared(text));
    }

    private static IllegalArgumentException unknown(String name, Map<String, String> prompts, String remedy) {
        return new IllegalArgumentException("There is no prompt named \"" + name + "\"; the model has "
                + (prompts.isEmpty() ? "none" : prompts.keySet()) + ". " + remedy);
    }

    private String with(String before, String text) {
        String whole = stripped(before + text);
        return lowerCase ? whole.toLowerCase(Locale.ROOT) : whole;
    }

    /** Without what Python's {@code strip} takes away, which is more than what Java's does: no-break spaces, too. */
    private static String stripped(String text) {
        int from = 0;
        int to = text.length();
        while (from < to && isBlank(text.charAt(from))) {
            from++;
        }
        while (to > from && isBlank(text.charAt(to - 1))) {
            to--;
        }
        return text.substring(from, to);
    }

    private static boolean isBlank(char c) {
        return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == '\u0085';
    }
}
