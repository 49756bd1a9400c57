package io.github.dl4jlora.internal.peft;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;

class DottedNamesTest {

    @ParameterizedTest(name = "{0} in {1}")
    @CsvSource({"out, out", "out, model.out", "out, out.dense", "enc.fc, model.enc.fc.1"})
    void aNameIsFoundAsARunOfWholeWords(String name, String within) {
        assertThat(new DottedNames(List.of("other", name)).in(within)).containsExactly(name);
    }

    @ParameterizedTest(name = "{0} in {1}")
    @CsvSource({"out, outer", "out, lora_dropout", "enc.fc, enc.1.fc", "a.b.c, a.b", "out, ''"})
    void aPieceOfAWordOrScatteredWordsAreNotFound(String name, String within) {
        assertThat(new DottedNames(List.of("other", name)).in(within)).isEmpty();
    }

    @Test
    void allNamesAreFoundThatOneTryAfterTheOtherFinds() {
        Random random = new Random(3);
        for (int i = 0; i < 2_000; i++) {
            List<String> names = new ArrayList<>();
            for (int n = random.nextInt(4); n > 0; n--) {
                names.add(dotted(random, 4));
            }
            String within = dotted(random, 8);
            List<String> expected = names.stream().filter(name -> ("." + within + ".").contains("." + name + ".")).toList();

            assertThat(new DottedNames(names).in(within)).as("%s in %s", names, within).hasSameElementsAs(expected);
        }
    }

    /** Of few letters, so that much is found, and with empty words, as a stranger's file may have them. */
    private static String dotted(Random random, int longest) {
        StringBuilder name = new StringBuilder();
        for (int n = random.nextInt(longest); n > 0; n--) {
            name.append("ab..".charAt(random.nextInt(4)));
        }
        return name.toString();
    }
}
