package io.github.dl4jlora.examples.retrieval;

import io.github.dl4jlora.examples.StableHash;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * State of the Union addresses, cut into passages. A president's are all for learning or all for testing, in a text file each,
 * named for example {@code 1790_george_washington_n.txt}: year, president, party.
 */
final class Addresses {

    private static final Pattern NAME = Pattern.compile("(\\d{4})_(\\w+)_[a-z]+\\.txt");
    /** A sentence ends a passage that has so many words. */
    private static final int PASSAGE_WORDS = 40;
    /** Of an address at most so many, or the longest would be most of what there is. */
    private static final int PAIRS = 40;
    private static final int TEST_PAIRS = 8;

    private Addresses() {
    }

    /**
     * From a passage to others of the same address.
     *
     * @param folder of text files
     * @throws IOException if there is none, or it has no address to learn from, or none to be tested on
     */
    static Samples load(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.list(Texts.require(folder))) {
            files = found.sorted().toList();
        }
        List<Sample> train = new ArrayList<>();
        List<Sample> test = new ArrayList<>();
        for (Path file : files) {
            Matcher name = NAME.matcher(file.getFileName().toString());
            if (name.matches()) {
                boolean tested = Samples.isForTest(name.group(2));
                (tested ? test : train).addAll(pairs(Files.readString(file, StandardCharsets.UTF_8),
                        name.group(), tested ? TEST_PAIRS : PAIRS));
            }
        }
        if (train.isEmpty() || test.isEmpty()) {
            throw new FileNotFoundException("In " + folder.toAbsolutePath().normalize() + " are addresses for " + train.size()
                    + " pairs of passages to learn from and " + test.size() + " to be tested on; expected text files named like "
                    + "1790_george_washington_n.txt, of several presidents. Fetch them with " + Texts.SCRIPT);
        }
        return new Samples(train, test);
    }

    /** Passages in random order, two by two; no passage is in two pairs. */
    private static List<Sample> pairs(String address, String group, int most) {
        List<String> passages = passages(address).stream().distinct().sorted(Comparator.comparingLong(StableHash::of)).toList();
        List<Sample> pairs = new ArrayList<>();
        for (int i = 0; i + 1 < passages.size() && pairs.size() < most; i += 2) {
            pairs.add(new Sample(passages.get(i), passages.get(i + 1), group));
        }
        return pairs;
    }

    /** Whole sentences, as many as it takes; what is left at the end is no passage. */
    static List<String> passages(String address) {
        List<String> passages = new ArrayList<>();
        StringBuilder passage = new StringBuilder();
        int words = 0;
        for (String word : address.strip().split("\\s+")) {
            passage.append(words++ == 0 ? "" : " ").append(word);
            if (words >= PASSAGE_WORDS && word.matches(".*[.!?][\"')]?")) {
                passages.add(passage.toString());
                passage.setLength(0);
                words = 0;
            }
        }
        return passages;
    }
}
