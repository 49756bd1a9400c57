package io.github.dl4jlora.internal.serve;

import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** Examples of several mixes are sorted by mix, and their outputs come back in the caller's order. */
class MixedBatchTest {

    private static final ServedMix ONE = new ServedMix(List.of(new ServedMix.Share(null, 1)), null);
    private static final ServedMix TWO = new ServedMix(List.of(new ServedMix.Share(null, 2)), null);
    private static final ServedMix THREE = new ServedMix(List.of(new ServedMix.Share(null, 3)), null);

    private final MixedBatch mixed = new MixedBatch(List.of(TWO, ONE, THREE, TWO, ONE));

    private static Features features(float... values) {
        return new Features(new INDArray[] {Nd4j.createFromArray(values).reshape(values.length, 1)}, null);
    }

    @Test
    void examplesOfOneMixLieSideBySide() {
        assertThat(mixed.mixes()).isEqualTo(3);
        assertThat(mixed.examples()).isEqualTo(5);
        assertThat(mixed.first()).isEqualTo(TWO);
        assertThat(mixed.isOfOneMix()).isFalse();
        assertThat(mixed.sorted(features(0, 1, 2, 3, 4)).inputs()[0].toFloatVector()).containsExactly(0, 3, 1, 4, 2);
    }

    @Test
    void masksAreSortedWithTheirInputs() {
        INDArray input = Nd4j.createFromArray(0f, 1, 2, 3, 4).reshape(5, 1);
        Features sorted = mixed.sorted(new Features(new INDArray[] {input, input.add(10)}, new INDArray[] {null, input.add(20)}));

        assertThat(sorted.inputs()[1].toFloatVector()).containsExactly(10, 13, 11, 14, 12);
        assertThat(sorted.masks()[0]).isNull();
        assertThat(sorted.masks()[1].toFloatVector()).containsExactly(20, 23, 21, 24, 22);
    }

    @Test
    void outputsComeBackAsTheExamplesCame() {
        INDArray output = mixed.sorted(features(0, 1, 2, 3, 4)).inputs()[0];

        assertThat(mixed.restored(new INDArray[] {output}, false)[0].toFloatVector()).containsExactly(0, 1, 2, 3, 4);
    }

    @Test
    void severalRowsOfAnExampleStayTogether() {
        INDArray output = Nd4j.createFromArray(0f, 1, 30, 31, 10, 11, 40, 41, 20, 21).reshape(10, 1);

        assertThat(mixed.restored(new INDArray[] {output}, true)[0].toFloatVector())
                .containsExactly(0, 1, 10, 11, 20, 21, 30, 31, 40, 41);
    }

    @Test
    void rowsThatNobodyKnowsAreRefused() {
        for (long rows : new long[] {10, 7, 4}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> mixed.restored(new INDArray[] {Nd4j.zeros(DataType.FLOAT, rows, 1)}, rows != 10))
                    .withMessageContainingAll(rows + " rows", "for 5 examples", "output(name, input)");
        }
    }

    @Test
    void whatIsSortedAlreadyIsNotCopied() {
        MixedBatch sorted = new MixedBatch(List.of(ONE, ONE, TWO));
        Features features = features(0, 1, 2);
        INDArray output = features.inputs()[0];

        assertThat(sorted.sorted(features)).isSameAs(features);
        assertThat(sorted.restored(new INDArray[] {output}, false)[0]).isSameAs(output);
        assertThat(new MixedBatch(List.of(ONE, ONE)).isOfOneMix()).isTrue();
    }

    @Test
    void eachMixComputesItsOwnExamples() {
        Features sorted = mixed.sorted(features(0, 1, 2, 3, 4));

        INDArray[] outputs = mixed.oneByOne(sorted, (mix, some) ->
                new INDArray[] {some.inputs()[0].add(100 * mix.shares().get(0).weight())});

        assertThat(outputs[0].toFloatVector()).containsExactly(200, 203, 101, 104, 302);
    }

    /** Its rows are not one after the other in memory. */
    @Test
    void aViewIsSortedByItsRowsToo() {
        INDArray wide = Nd4j.createFromArray(0f, -1, 1, -1, 2, -1, 3, -1, 4, -1).reshape(5, 2);
        INDArray column = wide.getColumn(0, true);

        assertThat(mixed.sorted(new Features(new INDArray[] {column}, null)).inputs()[0].toFloatVector())
                .containsExactly(0, 3, 1, 4, 2);
        assertThat(mixed.sorted(new Features(new INDArray[] {wide.dup('f')}, null)).inputs()[0].getColumn(0).toFloatVector())
                .containsExactly(0, 3, 1, 4, 2);
    }
}
