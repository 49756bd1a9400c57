package io.github.dl4jlora.evidence.minilm;

import io.github.dl4jlora.models.StableHash;
import io.github.dl4jlora.models.retrieval.WordNet.Gloss;

import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.ToLongFunction;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Definitions of WordNet's nouns, half of them turned: they begin in their midst, and go on with their beginning. Short ones,
 * each once, of letters alone, since a comma or a parenthesis would tell.
 */
final class Glosses {

    /** As they are, and turned. */
    static final int CLASSES = 2;

    private static final int FIRST_NOUN_FILE = 3;
    private static final int LAST_NOUN_FILE = 28;
    private static final int LEAST_WORDS = 5;
    private static final int MOST_WORDS = 9;
    private static final Pattern PLAIN = Pattern.compile("[A-Za-z' -]+");

    private final List<Example> train;
    private final List<Example> test;

    /** A definition, turned or not. */
    record Example(String text, boolean isTurned) {
    }

    private Glosses(List<Example> train, List<Example> test) {
        this.train = train;
        this.test = test;
    }

    /** Whether a definition is turned, and by how much, follows from its text. */
    static Glosses of(List<Gloss> glosses) {
        Set<String> tested = new HashSet<>();
        Set<String> learned = new HashSet<>();
        glosses.stream().filter(Glosses::isOfUse).forEach(gloss ->
                (gloss.isForTest() ? tested : learned).add(gloss.definition()));
        // Some words have the same definition.
        learned.removeAll(tested);
        return new Glosses(examples(learned), examples(tested));
    }

    private static boolean isOfUse(Gloss gloss) {
        int words = gloss.definition().split(" ").length;
        return gloss.file() >= FIRST_NOUN_FILE && gloss.file() <= LAST_NOUN_FILE && words >= LEAST_WORDS && words <= MOST_WORDS
                && PLAIN.matcher(gloss.definition()).matches();
    }

    private static List<Example> examples(Set<String> definitions) {
        return definitions.stream().map(Glosses::example).toList();
    }

    private static Example example(String definition) {
        Random random = new Random(StableHash.of(definition));
        List<String> words = Arrays.asList(definition.split(" "));
        if (random.nextBoolean()) {
            Collections.rotate(words, 1 + random.nextInt(words.size() - 1));
        }
        String text = String.join(" ", words);
        return new Example(text, !text.equals(definition));
    }

    /** {@return some to learn from, as many turned as not, others for another seed} */
    List<Example> train(int number, long seed) {
        return some(train, number, example -> StableHash.of(seed + example.text));
    }

    /** {@return some to be tested on, as many turned as not, the same every time} */
    List<Example> test(int number) {
        return some(test, number, example -> StableHash.of(example.text));
    }

    private static List<Example> some(List<Example> examples, int number, ToLongFunction<Example> order) {
        return Stream.of(false, true).flatMap(turned -> examples.stream().filter(example -> example.isTurned == turned)
                .sorted(Comparator.comparingLong(order)).limit(number / CLASSES)).toList();
    }
}
