package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.models.StableHash;

import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Samples to learn from and samples to be tested on, from different sources. */
record Samples(List<Sample> train, List<Sample> test) {

    /** One source in so many is for testing. */
    private static final int TEST_SHARE = 3;

    /** {@return whether what comes from this source, an author, say, is for testing and never learned from} */
    static boolean isForTest(String source) {
        return Math.floorMod(StableHash.of(source), TEST_SHARE) == 0;
    }

    /**
     * The first samples of either side, in an order that is random, but the same every time. Of those to learn from, none has a
     * text of those to be tested on: now and then, two sources say the same.
     */
    Samples limited(int trained, int tested) {
        List<Sample> chosen = first(test, tested);
        Set<String> texts = chosen.stream().flatMap(Samples::texts).collect(Collectors.toSet());
        return new Samples(first(train.stream().filter(sample -> texts(sample).noneMatch(texts::contains)).toList(), trained),
                chosen);
    }

    private static Stream<String> texts(Sample sample) {
        return Stream.of(sample.query(), sample.document());
    }

    private static List<Sample> first(List<Sample> samples, int most) {
        return samples.stream().sorted(Comparator.comparingLong(sample -> StableHash.of(sample.query() + '\n'
                + sample.document()))).limit(most).toList();
    }
}
