package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.blas.Route;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;

/** What is found out of a network's rows, on passes that only look like a network's. */
class RowOrdersTest {

    private final NetworkKind kind = new NetworkKind(LoRA.apply(Networks.trainedLayers(), LoRAConfig.builder().rank(2)
            .targets("fc1").seed(1).build()), false);
    private final NetworkKind bare = new NetworkKind(Networks.trainedLayers(), false);
    private final String matrix = kind.matrices().iterator().next();
    private final RowOrders orders = new RowOrders();
    private final Features inputs = new Features(new INDArray[] {Networks.random(DataType.FLOAT, 1, 3,
            kind.view().adaptedMatrices().get(matrix).parameter().nIn())}, null);
    private int passes;

    /** A network whose matrix has some rows for an example, and whose output has some. */
    private final class Rows implements RowOrders.Pass {

        private final int atMatrix;
        private final int atOutput;
        private final boolean byExample;
        private double rounding;

        Rows(int atMatrix, int atOutput, boolean byExample) {
            this.atMatrix = atMatrix;
            this.atOutput = atOutput;
            this.byExample = byExample;
        }

        /** Of example e, output row i is x_e · (i + 1), times A · B if there is an adapter; rows lie by example, or by turns. */
        @Override
        public INDArray[] of(Map<String, List<Route>> routes, long examples, Predicate<String> inOrder,
                Features features) {
            passes++;
            if (atMatrix > 1) {
                inOrder.test(matrix);
            }
            INDArray x = features.inputs()[0];
            int n = (int) x.size(0);
            List<INDArray> rows = new ArrayList<>();
            for (int p = 0; p < n * atOutput; p++) {
                int example = byExample ? p / atOutput : p % n;
                int row = byExample ? p % atOutput : p / n;
                INDArray own = x.getRow(example, true).mul(row + 1);
                // Whoever routes takes it that rows lie by example.
                int taken = p / atOutput;
                rows.add(routes.getOrDefault(matrix, List.of()).stream()
                        .filter(one -> one.to() == 0 || one.from() <= taken && taken < one.to()).findFirst()
                        .map(route -> own.mmul(route.a()).mmul(route.b())).orElse(own).addi(1).addi(n == 1 ? 0 : rounding));
            }
            return new INDArray[] {Nd4j.concat(0, rows.toArray(INDArray[]::new))};
        }
    }

    @Test
    void rowsByExampleAreFoundOnce() {
        assertThat(orders.areOutputsUnknown()).isTrue();

        assertThat(orders.learn(kind, inputs, new Rows(3, 3, true))).isTrue();

        assertThat(orders.isByExample(matrix)).isTrue();
        assertThat(orders.mayBeByExample(Set.of(matrix))).isTrue();
        assertThat(orders.areOutputsByExample()).isTrue();
        assertThat(orders.areOutputsUnknown()).isFalse();
        passes = 0;
        assertThat(orders.learn(kind, inputs, new Rows(3, 3, true))).as("again").isFalse();
        assertThat(passes).as("to ask which have several rows").isEqualTo(1);
    }

    @Test
    void rowsByTurnsAreFound() {
        assertThat(orders.learn(kind, inputs, new Rows(3, 3, false))).isTrue();

        assertThat(orders.isByExample(matrix)).isFalse();
        assertThat(orders.mayBeByExample(Set.of(matrix))).isFalse();
        assertThat(orders.mayBeByExample(Set.of("another"))).isTrue();
        assertThat(orders.areOutputsByExample()).isFalse();
        assertThat(orders.areOutputsInAnotherOrder()).as("as the examples tell, for the matrix may be what differs").isTrue();
    }

    /** The matrix tells nothing then, but its adapter shows where its examples come out. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void outputsAloneMayHaveSeveralRows(boolean byExample) {
        assertThat(orders.learn(kind, inputs, new Rows(1, 3, byExample))).isTrue();

        assertThat(orders.isByExample(matrix)).isFalse();
        assertThat(orders.mayBeByExample(Set.of(matrix))).isTrue();
        assertThat(orders.areOutputsByExample()).isEqualTo(byExample);
        assertThat(orders.areOutputsUnknown()).isFalse();
    }

    /** With no matrix at all there is nothing but the examples. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void outputsOfANetworkWithoutAdaptersAreFoundByTheExamples(boolean byExample) {
        assertThat(orders.learn(bare, inputs, new Rows(1, 3, byExample))).isTrue();

        assertThat(orders.areOutputsByExample()).isEqualTo(byExample);
        assertThat(orders.areOutputsInAnotherOrder()).isEqualTo(!byExample);
    }

    /** As windows over a series are: steps 1, 2 and steps 2, 3 are the rows 1, 2, 2, 3 by example and by turns. */
    @Test
    void examplesThatLookTheSameByTurnsTellNothing() {
        Features windows = new Features(new INDArray[] {Nd4j.createFromArray(new float[][] {{1, 2}, {2, 3}})}, null);

        assertThat(orders.learn(bare, windows, (routes, examples, inOrder, some) ->
                new INDArray[] {some.inputs()[0].dup().reshape('f', -1, 1)})).isFalse();
        assertThat(orders.areOutputsUnknown()).isTrue();
    }

    @Test
    void aRowForEachExampleTellsNothingOfOutputs() {
        assertThat(orders.learn(kind, inputs, new Rows(1, 1, true))).isTrue();

        assertThat(orders.areOutputsUnknown()).isTrue();
        assertThat(orders.isByExample(matrix)).isFalse();
    }

    /** A difference of a thousandth of what another adapter changes is rounding; more is another order. */
    @Test
    void roundingIsNoOtherOrder() {
        Rows rows = new Rows(2, 2, true);
        rows.rounding = 1e-5;
        assertThat(orders.learn(kind, inputs, rows)).isTrue();
        assertThat(orders.isByExample(matrix)).isTrue();

        RowOrders others = new RowOrders();
        rows.rounding = 0.1;
        assertThat(others.learn(kind, inputs, rows)).isTrue();
        assertThat(others.mayBeByExample(Set.of(matrix))).isFalse();
    }

    /** In which no adapter shows; the next try comes after one batch, then after three, seven, …, a thousand. */
    @Test
    void examplesOfZerosTellNothingAndAreAskedLessAndLess() {
        Features zeros = inputs.map(INDArray::like);
        List<Integer> tries = new ArrayList<>();
        for (int i = 0; i < 4_500; i++) {
            int before = passes;
            assertThat(orders.learn(kind, zeros, new Rows(3, 3, true))).isFalse();
            if (passes > before) {
                tries.add(i);
            }
        }

        assertThat(tries).startsWith(0, 2, 6, 14, 30).endsWith(2046, 3070, 4094);
        assertThat(orders.isByExample(matrix)).isFalse();
        assertThat(orders.mayBeByExample(Set.of(matrix))).isTrue();
    }

    @Test
    void whoLearnsAfterAllIsAskedAtOnceAgain() {
        Features zeros = inputs.map(INDArray::like);
        for (int i = 0; i < 6; i++) {
            orders.learn(kind, zeros, new Rows(3, 3, true));
        }
        assertThat(orders.learn(kind, inputs, new Rows(3, 3, true))).isTrue();
        passes = 0;

        orders.learn(kind, inputs, new Rows(3, 3, true));

        assertThat(passes).isPositive();
    }

    @Test
    void whatIsNotFiniteTellsNothing() {
        Features infinite = inputs.map(array -> array.dup().putScalar(0, Float.POSITIVE_INFINITY));

        assertThat(orders.learn(kind, infinite, new Rows(3, 3, true))).isFalse();
        assertThat(orders.mayBeByExample(Set.of(matrix))).isTrue();
        assertThat(orders.areOutputsUnknown()).isTrue();
    }
}
