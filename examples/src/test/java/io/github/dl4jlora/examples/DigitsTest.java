package io.github.dl4jlora.examples;

import io.github.dl4jlora.examples.Digits.Digit;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class DigitsTest {

    private static final Digits ALL = Digits.load();

    @Test
    void thereAre1797ImagesOfInkBetweenNoneAndFull() {
        assertThat(ALL.size()).isEqualTo(1797);
        for (Digit digit : ALL.images()) {
            assertThat(digit.pixels()).hasSize(Digits.PIXELS);
            for (float pixel : digit.pixels()) {
                assertThat(pixel).isBetween(0f, 1f);
            }
        }
    }

    @Test
    void everyDigitIsThereAsOftenAsTheSourceSays() {
        assertThat(IntStream.range(0, Digits.CLASSES).map(label -> ALL.ofLabel(label).size()))
                .containsExactly(178, 182, 177, 183, 181, 182, 181, 179, 174, 180);
    }

    @Test
    void partsOfASplitShareNoImageAndLoseNone() {
        Digits.Split split = ALL.split(0.25, 1);

        Set<Digit> union = Collections.newSetFromMap(new IdentityHashMap<>());
        union.addAll(split.train().images());
        union.addAll(split.test().images());
        assertThat(split.train().size() + split.test().size()).isEqualTo(ALL.size());
        assertThat(union).hasSize(ALL.size());
    }

    @Test
    void everyDigitHasTheSameShareOfTheTestPart() {
        Digits test = ALL.split(0.25, 1).test();

        for (int label = 0; label < Digits.CLASSES; label++) {
            assertThat((double) test.ofLabel(label).size()).isCloseTo(0.25 * ALL.ofLabel(label).size(),
                    within(0.5));
        }
    }

    @Test
    void theSeedAloneDecidesTheSplit() {
        assertThat(ALL.split(0.25, 1)).isEqualTo(ALL.split(0.25, 1)).isNotEqualTo(ALL.split(0.25, 2));
    }

    @Test
    void theLeftColumnReadUpwardsBecomesTheTopRow() {
        float[] pixels = new float[Digits.PIXELS];
        for (int i = 0; i < Digits.PIXELS; i++) {
            pixels[i] = i;
        }

        float[] turned = new Digit(pixels, 5).turned().pixels();

        assertThat(turned).startsWith(56, 48, 40, 32, 24, 16, 8, 0).endsWith(63, 55, 47, 39, 31, 23, 15, 7);
    }

    @Test
    void fourQuarterTurnsGiveBackTheImage() {
        Digit digit = ALL.images().get(0);

        Digit back = digit.turned().turned().turned().turned();

        assertThat(back.pixels()).isEqualTo(digit.pixels());
        assertThat(back.label()).isEqualTo(digit.label());
        assertThat(digit.turned().pixels()).isNotEqualTo(digit.pixels());
    }

    @Test
    void batchesHoldEveryImageOnceWithItsLabel() {
        Digits few = new Digits(ALL.images().subList(0, 10));

        DataSetIterator batches = few.batches(4);

        int image = 0;
        while (batches.hasNext()) {
            DataSet batch = batches.next();
            for (int row = 0; row < batch.numExamples(); row++, image++) {
                Digit digit = few.images().get(image);
                assertThat(batch.getFeatures().getRow(row).toFloatVector()).isEqualTo(digit.pixels());
                assertThat(batch.getLabels().getRow(row).sumNumber().intValue()).isEqualTo(1);
                assertThat(batch.getLabels().getDouble(row, digit.label())).isEqualTo(1);
            }
        }
        assertThat(image).isEqualTo(10);
    }
}
