package io.github.dl4jlora.examples.enlarge;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class MeasureTest {

    private static Picture random(int height, int width) {
        Random random = new Random(3);
        Picture picture = new Picture(height, width, new float[3 * height * width]);
        for (int i = 0; i < picture.values().length; i++) {
            picture.values()[i] = random.nextInt(256);
        }
        return picture;
    }

    private static Picture plus(Picture picture, float more) {
        float[] values = picture.values().clone();
        for (int i = 0; i < values.length; i++) {
            values[i] += more;
        }
        return new Picture(picture.height(), picture.width(), values);
    }

    @Test
    void aPictureIsWhatItIs() {
        Picture picture = random(14, 13);

        assertThat(Measure.psnr(picture, picture)).isInfinite();
        assertThat(Measure.ssim(picture, picture)).isCloseTo(1, within(1e-9));
    }

    @Test
    void anErrorOf51EverywhereIs14Decibels() {
        Picture picture = random(14, 13);

        // 10·log10(255² / 51²) = 20·log10(5)
        assertThat(Measure.psnr(plus(picture, 51), picture)).isCloseTo(13.9794, within(1e-4));
    }

    @Test
    void flatPicturesDifferInBrightnessAlone() {
        Picture dark = new Picture(12, 12, new float[3 * 12 * 12]);
        Arrays.fill(dark.values(), 100);

        // Contrast and structure are 1: (2·100·150 + C1) / (100² + 150² + C1), C1 = (0.01·255)²
        assertThat(Measure.ssim(plus(dark, 50), dark)).isCloseTo((30_000 + 6.5025) / (32_500 + 6.5025), within(1e-9));
    }

    @Test
    void aPictureTurnedIntoItsNegativeIsUnlikeIt() {
        Picture picture = random(20, 20);
        float[] negative = picture.values().clone();
        for (int i = 0; i < negative.length; i++) {
            negative[i] = 255 - negative[i];
        }

        assertThat(Measure.ssim(new Picture(20, 20, negative), picture)).isNegative();
    }

    @Test
    void halvingTakesMeansOfFourAndEnlargingPixelsUndoesItForLargeOnes() {
        Picture small = random(6, 5);
        Picture large = Bicubic.enlargePixels(small);

        assertThat(large.half().values()).containsExactly(small.values());
        assertThat(Measure.of(List.of(large), Bicubic::enlargePixels).psnr()).isInfinite();
        assertThat(Measure.of(List.of(large, large), Bicubic::enlarge).psnr()).isFinite();
    }

    @Test
    void partsOutsideOfAPictureHaveTheColoursOfItsBorder() {
        Picture picture = random(4, 3);

        Picture framed = picture.part(-2, -1, 8, 5);

        assertThat(framed.at(1, 0, 0)).isEqualTo(picture.at(1, 0, 0));
        assertThat(framed.at(2, 7, 4)).isEqualTo(picture.at(2, 3, 2));
        assertThat(framed.part(2, 1, 4, 3).values()).containsExactly(picture.values());
        assertThat(Picture.of(picture.image()).values()).containsExactly(picture.values());
        assertThat(Picture.of(picture.array()).values()).containsExactly(picture.values());
    }
}
