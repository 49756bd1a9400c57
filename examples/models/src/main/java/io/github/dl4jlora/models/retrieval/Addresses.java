package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.models.StableHash;

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
public final class Addresses {

    private static final Pattern NAME = Pattern.compile("(\\d{4})_(\\w+)_[a-z]+\\.txt");
    private static final int PASSAGE_WORDS = 25;
    /** Of an address at most so many, or the longest would be most of what there is. */
    private static final int PAIRS = 40;
    private static final int TEST_PAIRS = 16;

    private Addresses() {
    }

    /** What one president said once. */
    public record Address(String president, String text) {

        /** {@return whether it is for testing and never learned from} */
        public boolean isForTest() {
            return Samples.isForTest(president);
        }

        /**
         * Whole sentences; what is left at the end is no passage.
         *
         * @param words a sentence ends a passage that has so many
         */
        public List<String> passages(int words) {
            List<String> passages = new ArrayList<>();
            StringBuilder passage = new StringBuilder();
            int length = 0;
            for (String word : text.strip().split("\\s+")) {
                passage.append(length++ == 0 ? "" : " ").append(word);
                if (length >= words && word.matches(".*[.!?][\"')]?")) {
                    passages.add(passage.toString());
                    passage.setLength(0);
                    length = 0;
                }
            }
            return passages;
        }
    }

    /**
     * Reads all there are, in the order of their names.
     *
     * @param folder of text files
     * @throws IOException if there is none, with what to do about it, or a file cannot be read
     */
    public static List<Address> read(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.list(Texts.folder(folder))) {
            files = found.sorted().toList();
        }
        List<Address> addresses = new ArrayList<>();
        for (Path file : files) {
            Matcher name = NAME.matcher(file.getFileName().toString());
            if (name.matches()) {
                addresses.add(new Address(name.group(2), new String(Files.readAllBytes(file), StandardCharsets.UTF_8)));
            }
        }
        return addresses;
    }

    /** From a passage to the one that comes after it, of all in a folder. */
    static Samples load(Path folder) throws IOException {
        List<Sample> train = new ArrayList<>();
        List<Sample> test = new ArrayList<>();
        for (Address address : read(folder)) {
            (address.isForTest() ? test : train).addAll(pairs(address, address.isForTest() ? TEST_PAIRS : PAIRS));
        }
        return new Samples(train, test);
    }

    /** No passage is in two pairs. */
    private static List<Sample> pairs(Address address, int most) {
        List<String> passages = address.passages(PASSAGE_WORDS).stream().distinct().toList();
        List<Sample> pairs = new ArrayList<>();
        for (int i = 0; i + 1 < passages.size(); i += 2) {
            pairs.add(new Sample(passages.get(i), passages.get(i + 1), passages.get(i + 1)));
        }
        return pairs.stream().sorted(Comparator.comparingLong(pair -> StableHash.of(pair.query()))).limit(most).toList();
    }
}
