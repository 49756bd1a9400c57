package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.models.StableHash;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.models.retrieval.Addresses;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;

/** Passages of State of the Union addresses, as token ids: those of some presidents to learn from, of others to be tested on. */
record Domain(List<int[]> train, List<int[]> test) {

    /** A passage has one sentence more than it takes to reach so many. */
    private static final int WORDS = 70;

    /**
     * Passages in an order that is random, but the same every time.
     *
     * @param folder  of a text file for each address
     * @param trained how many to learn from, at most
     * @param tested  how many to be tested on, at most
     * @throws IOException if the folder is not there, or there are none of either
     */
    static Domain load(Path folder, Tokenizer tokenizer, int trained, int tested) throws IOException {
        List<Addresses.Address> addresses = Addresses.read(folder);
        Domain domain = new Domain(first(addresses, address -> !address.isForTest(), tokenizer, trained),
                first(addresses, Addresses.Address::isForTest, tokenizer, tested));
        if (domain.train.isEmpty() || domain.test.isEmpty()) {
            throw new IOException("In " + folder.toAbsolutePath().normalize() + " are " + domain.train.size()
                    + " passages to learn from and " + domain.test.size() + " to be tested on, but some of either are needed");
        }
        return domain;
    }

    private static List<int[]> first(List<Addresses.Address> addresses, Predicate<Addresses.Address> side, Tokenizer tokenizer,
                                     int most) {
        return addresses.stream().filter(side).flatMap(address -> address.passages(WORDS).stream()).distinct()
                .sorted(Comparator.comparingLong(StableHash::of)).limit(most).map(tokenizer::ids).toList();
    }
}
