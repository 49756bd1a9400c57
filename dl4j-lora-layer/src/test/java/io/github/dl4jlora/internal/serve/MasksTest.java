package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.Networks;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;

import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** Which masks go with which inputs; of sequences, {@code BankMasksTest} has more. */
class MasksTest {

    /** The form of masks that no layer of sequences decides. */
    @Test
    void masksOfVectorsAndPictures() {
        Masks masks = new Masks(Networks.trainedLayers());
        for (long[][] good : new long[][][] {{{2, 6}, {2, 6}}, {{2, 6}, {2, 1}}, {{2, 3, 8, 8}, {2, 1}},
            {{2, 3, 8, 8}, {2, 1, 8, 8}}, {{2, 3, 8, 8}, {2, 3, 1, 8}}, {{2, 3, 7}, {2, 3}}, {{2, 3, 7}, {2, 7}},
            {{2, 1, 4, 4, 4}, {2, 1, 4, 4, 4}}}) {
            masks.require(features(good));
        }
        for (long[][] bad : new long[][][] {{{2, 6}, {2, 5}}, {{2, 6}, {2}}, {{2, 6}, {2, 6, 1}}, {{2, 3, 8, 8}, {2, 8}},
            {{2, 3, 8, 8}, {2, 1, 4, 8}}, {{2, 3, 8, 8}, {2, 3, 8}}, {{2, 3, 7}, {2, 1}}, {{2, 3, 7}, {2, 3, 7}}}) {
            assertThatIllegalArgumentException().as(Arrays.deepToString(bad)).isThrownBy(() -> masks.require(features(bad)))
                    .withMessageContaining(Arrays.toString(bad[1]));
        }
    }

    private static Features features(long[][] shapes) {
        return new Features(new INDArray[] {Nd4j.ones(DataType.FLOAT, shapes[0])},
                new INDArray[] {Nd4j.ones(DataType.FLOAT, shapes[1])});
    }
}
