package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.blas.BlasTest.Lies;
import io.github.dl4jlora.internal.blas.BlasTest;
import io.github.dl4jlora.internal.blas.DirectBlas;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.blas.SlimFactors;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** Low-rank products of rows, added where they lie, beside sums in double precision; what cannot be added is left alone. */
class AddLowRankTest {

    /** Relative to the largest value. */
    private static final double CLOSE = 1e-4;

    private static SlimFactors factors(Random random, int nIn, int rank, int nOut) {
        int before = random.nextInt(5);
        INDArray vector = Networks.random(DataType.FLOAT, random.nextLong(), before + (long) (nIn + nOut) * rank + 3);
        return new SlimFactors(vector.data(), before, nIn, rank, nOut);
    }

    private static void assume() {
        assumeThat(Blas.isDirect()).as("BLAS of the CPU").isTrue();
    }

    /** z + factor · x · A · B, value by value, row after row. */
    private static double[] expected(INDArray x, INDArray z, List<Route> routes) {
        int nIn = (int) x.size(1);
        int nOut = (int) z.size(1);
        double[] sums = Models.values(z);
        double[] rows = Models.values(x);
        for (Route route : routes) {
            int rank = (int) route.a().size(1);
            double[] a = Models.values(route.a());
            double[] b = Models.values(route.b());
            for (int row = (int) route.from(); row < route.to(); row++) {
                for (int r = 0; r < rank; r++) {
                    double down = 0;
                    for (int i = 0; i < nIn; i++) {
                        down += rows[row * nIn + i] * a[i * rank + r];
                    }
                    for (int o = 0; o < nOut; o++) {
                        sums[row * nOut + o] += route.factor() * down * b[r * nOut + o];
                    }
                }
            }
        }
        return sums;
    }

    private static void requireAdded(INDArray x, INDArray z, List<Route> routes) {
        double[] expected = expected(x, z, routes);
        assertThat(DirectBlas.addLowRank(x, z, routes)).isTrue();
        double[] actual = Models.values(z);
        double largest = 1;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            worst = Math.max(worst, Math.abs(expected[i] - actual[i]));
        }
        assertThat(worst / largest).isLessThan(CLOSE);
    }

    /** Routes of no, one or several rows each, between rows of none. */
    private static List<Route> routes(Random random, int rows, int nIn, int nOut, int mostRank) {
        List<Route> routes = new ArrayList<>();
        for (int from = 0; from < rows; ) {
            int to = from + random.nextInt(3) * random.nextInt(4) + random.nextInt(2);
            if (to > from || random.nextBoolean()) {
                routes.add(new Route(from, Math.min(to, rows), factors(random, nIn, 1 + random.nextInt(mostRank), nOut),
                        random.nextGaussian(), null, null));
            }
            from = Math.max(to, from + 1);
        }
        return routes;
    }

    @Property(tries = 300, seed = "13254351929264")
    void howeverTheRowsLie(@ForAll long seed, @ForAll Lies lieX, @ForAll Lies lieZ, @ForAll @IntRange(min = 1, max = 12) int rows,
            @ForAll @IntRange(min = 1, max = 40) int nIn, @ForAll @IntRange(min = 1, max = 40) int nOut) {
        assume();
        INDArray x = BlasTest.matrix(DataType.FLOAT, lieX, rows, nIn);
        INDArray z = BlasTest.matrix(DataType.FLOAT, lieZ, rows, nOut);
        List<Route> routes = routes(new Random(seed), rows, nIn, nOut, 9);
        if (lies(x) && lies(z)) {
            requireAdded(x, z, routes);
        } else {
            requireRefused(x, z, routes);
        }
    }

    /** Whether rows, or columns, have no gaps between their values. */
    private static boolean lies(INDArray m) {
        boolean byColumn = (m.size(0) == 1 || m.stride(0) == 1) && (m.size(1) == 1 || m.stride(1) >= m.size(0));
        boolean byRow = (m.size(1) == 1 || m.stride(1) == 1) && (m.size(0) == 1 || m.stride(0) >= m.size(1));
        return byColumn || byRow;
    }

    private static void requireRefused(INDArray x, INDArray z, List<Route> routes) {
        INDArray before = z.dup();
        assertThat(DirectBlas.addLowRank(x, z, routes)).isFalse();
        assertThat(z).isEqualTo(before);
    }

    /** Either side of the size from which on BLAS would use threads for one row. */
    @ParameterizedTest
    @CsvSource({"1, 1, 1", "1, 1, 3000", "3000, 1, 1", "3000, 64, 3000", "144, 64, 144", "143, 64, 145", "1151, 8, 1153",
        "9215, 1, 9217", "1, 64, 1", "3, 64, 2000", "2000, 64, 3", "768, 16, 768"})
    void ofAnySize(int nIn, int rank, int nOut) {
        assume();
        for (char order : new char[] {'c', 'f'}) {
            for (int rows : new int[] {1, 2, 7, 33}) {
                Random random = new Random(rows);
                INDArray x = Networks.random(DataType.FLOAT, rows, rows, nIn).dup(order);
                INDArray z = Networks.random(DataType.FLOAT, 9, rows, nOut).dup(order == 'c' ? 'f' : 'c');
                SlimFactors slim = factors(random, nIn, rank, nOut);
                SlimFactors other = factors(random, nIn, 1 + rank / 2, nOut);
                requireAdded(x, z, List.of(new Route(0, (rows + 1) / 2, slim, 0.3, null, null),
                        new Route((rows + 1) / 2, rows, other, -2, null, null), new Route(rows - 1, rows, slim, 1, null, null)));
            }
        }
    }

    /** As a bank has for one example of a large batch. */
    @Test
    void otherRowsAreNotTouched() {
        assume();
        INDArray whole = Networks.random(DataType.FLOAT, 1, 9, 11);
        INDArray before = whole.dup();
        INDArray z = whole.get(NDArrayIndex.interval(2, 7), NDArrayIndex.interval(3, 9));
        INDArray x = Networks.random(DataType.FLOAT, 2, 5, 4);
        requireAdded(x, z, List.of(new Route(1, 3, factors(new Random(1), 4, 2, 6), 1, null, null)));

        before.get(NDArrayIndex.interval(3, 5), NDArrayIndex.interval(3, 9)).assign(whole.get(NDArrayIndex.interval(3, 5),
                NDArrayIndex.interval(3, 9)));
        assertThat(whole).isEqualTo(before);
    }

    @Test
    void severalAdaptersOfOneRowAddUp() {
        assume();
        Random random = new Random(3);
        requireAdded(Networks.random(DataType.FLOAT, 2, 2, 5), Networks.random(DataType.FLOAT, 3, 2, 4),
                List.of(new Route(0, 2, factors(random, 5, 2, 4), 0.7, null, null),
                        new Route(0, 2, factors(random, 5, 3, 4), -0.3, null, null),
                        new Route(0, 1, factors(random, 5, 1, 4), 0, null, null)));
    }

    @Test
    void whatDoesNotFitIsRefusedAndNothingIsWritten() {
        assume();
        Random random = new Random(1);
        INDArray x = Networks.random(DataType.FLOAT, 1, 4, 6);
        INDArray z = Networks.random(DataType.FLOAT, 2, 4, 5);
        Route good = new Route(0, 2, factors(random, 6, 2, 5), 1, null, null);
        SlimFactors slim = factors(random, 6, 2, 5);

        requireRefused(x, z, List.of(good, new Route(2, 4, factors(random, 7, 2, 5), 1, null, null)));
        requireRefused(x, z, List.of(good, new Route(2, 4, factors(random, 6, 2, 4), 1, null, null)));
        requireRefused(x, z, List.of(good, new Route(2, 5, slim, 1, null, null)));
        requireRefused(x, z, List.of(good, new Route(-1, 1, slim, 1, null, null)));
        requireRefused(x, z.get(NDArrayIndex.interval(0, 3), NDArrayIndex.all()), List.of(new Route(0, 4, slim, 1, null, null)));
        requireRefused(x.get(NDArrayIndex.interval(0, 3), NDArrayIndex.all()), z, List.of(new Route(0, 4, slim, 1, null, null)));
        requireRefused(x.castTo(DataType.DOUBLE), z, List.of(good));
        requireRefused(x, z.castTo(DataType.DOUBLE), List.of(good));
        requireRefused(x.castTo(DataType.DOUBLE), z.castTo(DataType.DOUBLE), List.of(good));
        requireRefused(x.reshape(4, 6, 1), z, List.of(good));
        requireRefused(x, z, List.of(good, new Route(2, 3, slim.a().dup(), slim.b().dup(), 1)));
        SlimFactors wide = new SlimFactors(Networks.random(DataType.DOUBLE, 1, 22).data(), 0, 6, 2, 5);
        requireRefused(x, z, List.of(good, new Route(2, 3, wide, 1, null, null)));
    }

    @Test
    void whatIsClosedIsRefused() {
        assume();
        INDArray x = Networks.random(DataType.FLOAT, 1, 4, 6);
        INDArray z = Networks.random(DataType.FLOAT, 2, 4, 5);
        Route good = new Route(0, 2, factors(new Random(1), 6, 2, 5), 1, null, null);
        INDArray vector = Networks.random(DataType.FLOAT, 1, 22);
        SlimFactors closed = new SlimFactors(vector.data(), 0, 6, 2, 5);
        assertThat(DirectBlas.addLowRank(x, z, List.of(new Route(0, 1, closed, 1, null, null)))).isTrue();
        vector.close();

        requireRefused(x, z, List.of(good, new Route(0, 1, closed, 1, null, null)));
        INDArray gone = x.dup();
        gone.close();
        requireRefused(gone, z, List.of(good));
        INDArray target = z.dup();
        target.close();
        assertThat(DirectBlas.addLowRank(x, target, List.of(good))).isFalse();
    }

    /** An axis of one value may be given any stride. */
    @Test
    void oneColumnOfAnyStride() {
        assume();
        for (int stride : new int[] {0, 1, 5}) {
            INDArray x = column(1, stride);
            INDArray z = column(2, stride);
            SlimFactors slim = factors(new Random(1), 1, 2, 1);
            requireAdded(x, z, List.of(new Route(0, 1, slim, 1, null, null), new Route(1, 3, slim, 1, null, null)));
        }
    }

    private static INDArray column(long seed, int stride) {
        return Nd4j.create(Networks.random(DataType.FLOAT, seed, 3).data(), new long[] {3, 1}, new long[] {1, stride}, 0, 'c');
    }
}
