package io.github.dl4jlora.examples.retrieval;

import io.github.dl4jlora.examples.StableHash;

import java.util.Comparator;
import java.util.List;

/** Samples to learn from and samples to be tested on, which have no text in common. */
record Samples(List<Sample> train, List<Sample> test) {

    /** One source in so many is for testing. */
    private static final int TEST_SHARE = 3;

    /** {@return whether what comes from this source, an author, say, is for testing and never learned from} */
    static boolean isForTest(String source) {
        return Math.floorMod(StableHash.of(source), TEST_SHARE) == 0;
    }

    /** The first samples of either side, in an order that is random, but the same every time. */
    Samples limited(int trained, int tested) {
        return new Samples(first(train, trained), first(test, tested));
    }

    private static List<Sample> first(List<Sample> samples, int most) {
        return samples.stream().sorted(Comparator.comparingLong(sample -> StableHash.of(sample.query() + '\n'
                + sample.document()))).limit(most).toList();
    }
}
