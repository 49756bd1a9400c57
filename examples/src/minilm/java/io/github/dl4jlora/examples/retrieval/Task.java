package io.github.dl4jlora.examples.retrieval;

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
    UNION("another passage of the same address") {
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
     * All there is.
     *
     * @param texts the folder that fetch-texts.sh fills
     * @throws IOException if the task's are not there, or cannot be read; the message says what to do
     */
    abstract Samples load(Path texts) throws IOException;

    /** As file names and tables have it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
