package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.Routing;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

class RoutedPathTest {

    private static final LayerWorkspaceMgr NO_WORKSPACES = LayerWorkspaceMgr.noWorkspaces();

    private final INDArray a1 = Networks.random(DataType.DOUBLE, 1, 4, 2);
    private final INDArray b1 = Networks.random(DataType.DOUBLE, 2, 2, 3);
    private final INDArray a2 = Networks.random(DataType.DOUBLE, 3, 4, 1);
    private final INDArray b2 = Networks.random(DataType.DOUBLE, 4, 1, 3);
    private final RoutedPath path = new RoutedPath(new Routing("fc", 5, () -> false,
            List.of(new Route(0, 2, a1, b1, 0.5), new Route(3, 5, a2, b2, -2))));

    @ParameterizedTest(name = "x {0}, z {1}")
    @CsvSource({"c, c", "c, f", "f, c", "f, f"})
    void eachIntervalOfRowsGetsItsOwnProductAndTheOthersNone(char xOrder, char zOrder) {
        INDArray x = Networks.random(DataType.DOUBLE, 5, 5, 4).dup(xOrder);
        INDArray z = Networks.random(DataType.DOUBLE, 6, 5, 3).dup(zOrder);
        INDArray expected = z.dup();
        expected.get(NDArrayIndex.interval(0, 2), NDArrayIndex.all())
                .addi(x.get(NDArrayIndex.interval(0, 2), NDArrayIndex.all()).mmul(a1).mmul(b1).mul(0.5));
        expected.get(NDArrayIndex.interval(3, 5), NDArrayIndex.all())
                .addi(x.get(NDArrayIndex.interval(3, 5), NDArrayIndex.all()).mmul(a2).mmul(b2).mul(-2));

        path.forward(x, z, false, NO_WORKSPACES);

        assertThat(Networks.difference(z, expected)).isLessThan(1e-14);
    }

    @Test
    void otherNumberOfRowsIsRefused() {
        INDArray x = Networks.random(DataType.DOUBLE, 5, 10, 4);

        assertThatIllegalStateException().isThrownBy(() -> path.forward(x, x, false, NO_WORKSPACES))
                .withMessageContaining("10 rows for a batch of 5");
    }

    @Test
    void itCannotBeTrained() {
        assertThatIllegalStateException().isThrownBy(() -> path.backward(a1, b1, Map.of(), null, NO_WORKSPACES))
                .withMessageContaining("\"fc\"");
    }
}
