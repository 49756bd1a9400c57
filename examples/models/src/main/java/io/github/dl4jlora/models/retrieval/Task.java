package io.github.dl4jlora.models.retrieval;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

/** What to find, given what. Each has an adapter of its own. */
enum Task {

    /** WordNet's dictionary the other way round. */
    WORDS("the words that have a definition") {
        @Override
        Samples load(Path texts) throws IOException {
            return WordNet.load(texts.resolve(WORDNET)).words();
        }
    },

    /** WordNet's hypernyms. */
    KINDS("what a thing is a kind of") {
        @Override
        Samples load(Path texts) throws IOException {
            return WordNet.load(texts.resolve(WORDNET)).kinds();
        }
    },

    /** State of the Union. */
    UNION("the passage that comes next in an address") {
        @Override
        Samples load(Path texts) throws IOException {
            return Addresses.load(texts.resolve("sotu"));
        }
    };

    private static final String WORDNET = "wordnet";

    /** What is found. */
    final String aim;

    Task(String aim) {
        this.aim = aim;
    }

    /**
     * Some of what there is, as {@link Samples#limited} chooses.
     *
     * @param texts   the folder that fetch-texts.sh fills
     * @param trained how many to learn from, at most
     * @param tested  how many to be tested on, at most
     * @throws IOException if the task's are not there, cannot be read, or are too few; the message says what to do
     */
    final Samples samples(Path texts, int trained, int tested) throws IOException {
        Samples samples = load(texts).limited(trained, tested);
        if (samples.train().isEmpty() || samples.test().isEmpty()) {
            throw new IOException("For the task " + this + " there are " + samples.train().size() + " pairs to learn from and "
                    + samples.test().size() + " to be tested on in " + texts.toAbsolutePath().normalize()
                    + ", but some of either are needed. Fetch the texts with " + Texts.SCRIPT);
        }
        return samples;
    }

    /** All there is. */
    abstract Samples load(Path texts) throws IOException;

    /** As file names and tables have it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
