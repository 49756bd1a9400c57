package io.github.dl4jlora.models.retrieval;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The synsets of WordNet's data files (wndb(5WN)): words of one meaning, its definition, and the kinds of thing that it is.
 * What a synset's first word is decides whether it is for testing, so that synsets of the same words are on one side.
 */
public final class WordNet {

    private static final List<String> FILES = List.of("data.noun", "data.verb", "data.adj", "data.adv");
    private static final String HYPERNYM = "@";
    // Fields of a line.
    private static final int OFFSET = 0;
    private static final int FILE = 1;
    private static final int COUNT = 3;
    private static final int WORDS = 4;
    private static final int HEX = 16;
    private static final int FIELDS_OF_POINTER = 4;

    private final Map<String, Synset> synsets = new LinkedHashMap<>();

    private WordNet() {
    }

    /**
     * A meaning.
     *
     * @param file       of the lexicographers', lexnames(5WN)
     * @param words      that have it, separated by commas
     * @param definition without the examples that follow it
     * @param kinds      the meanings of which it is a kind, in the same file
     */
    private record Synset(int file, String words, String definition, List<String> kinds) {

        boolean isForTest() {
            return Samples.isForTest(words.split(", ")[0]);
        }

        @Override
        public String toString() {
            return words + ": " + definition;
        }
    }

    /**
     * What a meaning is said to be, without the words that have it.
     *
     * @param definition without the examples that follow it
     * @param file       the number of the lexicographers' file that it is in, and so of the broad kind of thing: lexnames(5WN)
     * @param isForTest  whether it is for testing and never learned from
     */
    public record Gloss(String definition, int file, boolean isForTest) {
    }

    /**
     * @param folder with WordNet's files data.noun, data.verb, data.adj and data.adv
     * @throws IOException if one is missing, or has a line that is none of WordNet's; the message names it
     */
    public static WordNet load(Path folder) throws IOException {
        WordNet wordNet = new WordNet();
        for (String name : FILES) {
            Path file = Texts.file(folder.resolve(name));
            int number = 0;
            for (String line : Files.readAllLines(file, StandardCharsets.ISO_8859_1)) {
                number++;
                // The licence, at the top, is indented.
                if (!line.startsWith(" ")) {
                    wordNet.add(name, number, file, line);
                }
            }
        }
        return wordNet;
    }

    private void add(String name, int number, Path file, String line) throws IOException {
        try {
            int bar = line.indexOf(" | ");
            String[] fields = line.substring(0, bar).split(" ");
            int words = Integer.parseInt(fields[COUNT], HEX);
            if (words < 1) {
                throw new NumberFormatException("no words");
            }
            List<String> spelled = new ArrayList<>();
            for (int i = 0; i < words; i++) {
                // Adjectives may end in a mark of where they stand: (a), (p), (ip).
                spelled.add(fields[WORDS + 2 * i].replaceFirst("\\([a-z]+\\)$", "").replace('_', ' '));
            }
            int pointers = WORDS + 2 * words;
            List<String> kinds = new ArrayList<>();
            for (int i = 0; i < Integer.parseInt(fields[pointers]); i++) {
                int at = pointers + 1 + FIELDS_OF_POINTER * i;
                if (fields[at].equals(HYPERNYM)) {
                    kinds.add(name + fields[at + 1]);
                }
            }
            synsets.put(name + fields[OFFSET], new Synset(Integer.parseInt(fields[FILE]), String.join(", ", spelled),
                    definition(line.substring(bar + 3)), kinds));
        } catch (IndexOutOfBoundsException | NumberFormatException e) {
            throw new IOException("Line " + number + " of " + file + " is no synset of WordNet's, \"offset file type count words "
                    + "... | gloss\": \"" + line.substring(0, Math.min(40, line.length())) + "\". Fetch the file again with "
                    + Texts.SCRIPT, e);
        }
    }

    /** Of a gloss such as {@code cause to appear more pleasant; "The mayor did not sugarcoat it"}, the first part. */
    private static String definition(String gloss) {
        return gloss.replaceFirst("[;:,]? *\".*", "").strip();
    }

    /** {@return of every synset, in the files' order} */
    public List<Gloss> glosses() {
        return synsets.values().stream().map(synset -> new Gloss(synset.definition, synset.file, synset.isForTest())).toList();
    }

    /** From a definition to the words that have it: a dictionary the other way round. */
    Samples words() {
        List<Sample> train = new ArrayList<>();
        List<Sample> test = new ArrayList<>();
        for (Synset synset : synsets.values()) {
            (synset.isForTest() ? test : train).add(new Sample(synset.definition, synset.words, synset.words));
        }
        return new Samples(train, test);
    }

    /** From a thing to what it is a kind of, each with words and definition. Pairs with one on either side are left out. */
    Samples kinds() {
        List<Sample> train = new ArrayList<>();
        List<Sample> test = new ArrayList<>();
        for (Synset synset : synsets.values()) {
            for (String kind : synset.kinds) {
                Synset wider = synsets.get(kind);
                if (wider != null && wider.isForTest() == synset.isForTest()) {
                    (synset.isForTest() ? test : train).add(new Sample(synset.toString(), wider.toString(), wider.toString()));
                }
            }
        }
        return new Samples(train, test);
    }
}
