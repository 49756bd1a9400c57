package io.github.dl4jlora.internal.onednn;

import io.github.dl4jlora.internal.onednn.OneDnn.Use;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterProperty;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Whoever copies, all values are where they belong, and nothing else is written. */
class CopiesTest {

    private static final List<DataType> TYPES = List.of(DataType.FLOAT, DataType.FLOAT, DataType.DOUBLE);

    @AfterProperty
    void computeAsUsual() {
        OneDnn.use(Use.WHERE_IT_GAINS);
    }

    /**
     * An array within a larger one.
     *
     * @param whole all of the memory
     */
    private record Part(INDArray whole, INDArray values) {

        /** With its axes in any order in memory, and gaps between its values. */
        static Part random(Random choose, long[] shape) {
            List<Integer> order = new ArrayList<>(IntStream.range(0, shape.length).boxed().toList());
            Collections.shuffle(order, choose);
            int gap = choose.nextInt(3);
            long[] strides = new long[shape.length];
            long length = 1;
            for (int axis : order) {
                strides[axis] = length;
                length *= shape[axis] + gap;
            }
            Nd4j.getRandom().setSeed(choose.nextInt());
            INDArray whole = Nd4j.rand(TYPES.get(choose.nextInt(TYPES.size())), length + gap);
            return new Part(whole, Nd4j.create(whole.data(), shape, strides, gap, 'c'));
        }
    }

    private static double[] values(INDArray array) {
        return array.dup('c').data().asDouble();
    }

    @Property(tries = 150, seed = "28")
    void allValuesAreWhereTheyBelong(@ForAll @Size(min = 2, max = 5) List<@IntRange(min = 1, max = 8) Integer> sizes,
            @ForAll @IntRange(max = 1 << 20) int seed, @ForAll boolean byOneDnn) {
        OneDnn.use(byOneDnn ? Use.ALWAYS : Use.NEVER);
        Random choose = new Random(seed);
        long[] shape = sizes.stream().mapToLong(Integer::longValue).toArray();
        INDArray from = Part.random(choose, shape).values;
        from.putScalar(new long[shape.length], Float.NaN);
        Part to = Part.random(choose, shape);
        INDArray expected = to.whole.dup();
        Nd4j.create(expected.data(), shape, to.values.stride(), to.values.offset(), 'c').assign(from);

        Copies.copy(from, to.values);

        assertThat(values(to.whole)).as("%s to %s", from.shapeInfoToString(), to.values.shapeInfoToString())
                .containsExactly(values(expected));
        assertThat(values(to.values)).containsExactly(values(from.castTo(to.values.dataType())));
    }

    /** What kernels ask for: time or channels, last before, come to lie elsewhere. A dimension of size 1 has any stride. */
    @Test
    void oneDnnCopiesWhatKernelsTurn() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        Nd4j.getRandom().setSeed(28);
        INDArray sequence = Nd4j.rand(DataType.FLOAT, 6, 32, 48);
        INDArray single = Nd4j.create(Nd4j.rand(DataType.FLOAT, 9000).data(), new long[] {90, 1, 100}, new long[] {100, 7, 1}, 0,
                'c');
        INDArray images = Nd4j.rand(DataType.FLOAT, 2, 12, 13, 32);
        for (INDArray from : List.of(sequence.permute(2, 0, 1), sequence.permute(0, 2, 1), single.permute(2, 1, 0),
                images.permute(0, 3, 1, 2))) {
            INDArray to = Nd4j.createUninitialized(DataType.FLOAT, from.shape(), 'c');

            assertThat(Copies.byOneDnn(from, to)).as(from.shapeInfoToString()).isTrue();

            assertThat(values(to)).containsExactly(values(from));
        }
    }

    /** Windows of 3 of one line of numbers. */
    @Test
    void whatOverlapsIsLeftToNd4j() {
        OneDnn.use(Use.ALWAYS);
        INDArray windows = Nd4j.create(Nd4j.arange(12).castTo(DataType.FLOAT).data(), new long[] {10, 3}, new long[] {1, 1}, 0,
                'c');
        INDArray to = Nd4j.createUninitialized(DataType.FLOAT, new long[] {10, 3}, 'f');

        assertThat(Copies.byOneDnn(windows, to)).isFalse();
        Copies.copy(windows, to);

        assertThat(to.getDouble(9, 2)).isEqualTo(11);
        computeAsUsual();
    }

    @Property(tries = 20, seed = "28")
    void whatWasBroadcastIsCopiedToo(@ForAll @IntRange(min = 2, max = 9) int rows,
            @ForAll @IntRange(min = 2, max = 9) int columns) {
        OneDnn.use(Use.ALWAYS);
        Nd4j.getRandom().setSeed(28);
        INDArray from = Nd4j.rand(DataType.FLOAT, 1, columns).broadcast(rows, columns);
        INDArray to = Nd4j.createUninitialized(DataType.FLOAT, new long[] {rows, columns}, 'f');

        Copies.copy(from, to);

        assertThat(to).isEqualTo(from);
    }
}
