package io.github.dl4jlora.examples;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import static org.assertj.core.api.Assertions.assertThat;

class TextTest {

    @ParameterizedTest
    @ValueSource(strings = {"alice.txt.gz", "shakespeare.txt.gz"})
    void theAlphabetHasEveryCharacterOfTheTexts(String resource) {
        Text text = Text.load(resource);

        assertThat(text.length()).isGreaterThan(90_000);
        assertThat(text.characters().chars().distinct().mapToObj(character -> (char) character))
                .allMatch(character -> Text.ALPHABET.indexOf(character) >= 0);
    }

    @Test
    void aSplitHasAllOfTheTextOnce() {
        Text.Split split = new Text("abcdefghij").split(0.3);

        assertThat(split.train().characters()).isEqualTo("abcdefg");
        assertThat(split.test().characters()).isEqualTo("hij");
    }

    @Test
    void labelsAreTheCharactersThatFollow() {
        DataSetIterator batches = new Text("abcdefg").batches(1, 3);

        DataSet first = batches.next();
        DataSet second = batches.next();
        assertThat(batches.hasNext()).isFalse();
        assertThat(read(first, true)).isEqualTo("abc");
        assertThat(read(first, false)).isEqualTo("bcd");
        assertThat(read(second, true)).isEqualTo("def");
        assertThat(read(second, false)).isEqualTo("efg");
    }

    private static String read(DataSet batch, boolean features) {
        StringBuilder text = new StringBuilder();
        for (int index : (features ? batch.getFeatures() : batch.getLabels()).argMax(1).toIntVector()) {
            text.append(Text.ALPHABET.charAt(index));
        }
        return text.toString();
    }
}
