package io.github.dl4jlora.variant;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Norms are found once for each state of a layer that serves, and in every pass of one that trains or cannot tell. */
class DoRAScaleTest {

    private static final LayerWorkspaceMgr WORKSPACES = LayerWorkspaceMgr.noWorkspaces();

    /** Counts how often W is asked for: there is no norm without it. */
    private static final class Counting implements LayerWeights {

        private final INDArray w = Networks.random(DataType.DOUBLE, 1, 5, 3);
        private final Map<String, INDArray> parameters = Map.of(Variant.A, Networks.random(DataType.DOUBLE, 2, 5, 2),
                Variant.B, Networks.random(DataType.DOUBLE, 3, 2, 3), DoRA.MAGNITUDE, Networks.random(DataType.DOUBLE, 4, 1, 3));
        private Object state = new Object();
        private int norms;

        @Override
        public INDArray weights() {
            norms++;
            return w;
        }

        @Override
        public boolean hasFixedWeights() {
            return true;
        }

        @Override
        public INDArray parameter(String key, boolean training, LayerWorkspaceMgr workspaces) {
            return parameters.get(key);
        }

        @Override
        public double factor() {
            return 0.5;
        }

        @Override
        public Object state() {
            return state;
        }

        /** c as it must be. */
        private INDArray expected() {
            INDArray v = w.add(parameters.get(Variant.A).mmul(parameters.get(Variant.B)).mul(0.5));
            return parameters.get(DoRA.MAGNITUDE).div(v.norm2(true, 0));
        }
    }

    private final Counting layer = new Counting();
    private final OutputScale scale = new DoRA().scale(layer);

    private void assertScales(boolean training) {
        INDArray ones = Nd4j.ones(DataType.DOUBLE, 4, 3);
        scale.forward(ones, training, WORKSPACES);
        for (int row = 0; row < 4; row++) {
            assertThat(Networks.difference(ones.getRow(row, true), layer.expected())).isLessThan(1e-14);
        }
    }

    @Test
    void aLayerThatServesFindsThemOnceForEachState() {
        assertScales(false);
        assertScales(false);
        assertScales(false);
        assertThat(layer.norms).isEqualTo(1);

        layer.parameters.get(Variant.B).muli(3);
        layer.parameters.get(DoRA.MAGNITUDE).addi(1);
        layer.state = new Object();
        assertScales(false);
        assertScales(false);
        assertThat(layer.norms).isEqualTo(2);
    }

    @Test
    void trainingFindsThemEachTimeAndLeavesThoseThatServeAlone() {
        assertScales(false);
        assertScales(true);
        assertScales(true);
        assertThat(layer.norms).isEqualTo(3);
        scale.forget();
        assertScales(false);
        assertThat(layer.norms).isEqualTo(3);
    }

    @Test
    void aLayerThatCannotTellFindsThemEachTime() {
        layer.state = null;
        assertScales(false);
        layer.parameters.get(Variant.A).muli(2);
        assertScales(false);
        assertThat(layer.norms).isEqualTo(2);
    }

    @Test
    void outputsAreTheSecondDimensionWhateverTheRank() {
        for (long[] shape : new long[][] {{4, 3}, {4, 3, 2}, {4, 3, 2, 5}, {2, 3, 2, 2, 2}}) {
            INDArray p = Networks.random(DataType.DOUBLE, 7, shape);
            INDArray before = p.dup();
            scale.forward(p, true, WORKSPACES);
            INDArray dz = Networks.random(DataType.DOUBLE, 8, shape);
            INDArray dm = Nd4j.create(DataType.DOUBLE, 1, 3);
            INDArray dp = scale.backward(dz.dup(), key -> dm);

            INDArray v = layer.w.add(layer.parameters.get(Variant.A).mmul(layer.parameters.get(Variant.B)).mul(0.5));
            INDArray norms = v.norm2(true, 0);
            for (int output = 0; output < 3; output++) {
                double c = layer.expected().getDouble(0, output);
                INDArray own = slice(before, output);
                assertThat(Networks.difference(slice(p, output), own.mul(c))).isLessThan(1e-13);
                assertThat(Networks.difference(slice(dp, output), slice(dz, output).mul(c))).isLessThan(1e-13);
                double sum = own.mul(slice(dz, output)).sumNumber().doubleValue();
                assertThat(Math.abs(dm.getDouble(0, output) - sum / norms.getDouble(0, output))).isLessThan(1e-12);
            }
        }
    }

    private static INDArray slice(INDArray array, int output) {
        return array.dup('c').reshape('c', array.size(0), 3, array.length() / array.size(0) / 3)
                .get(NDArrayIndex.all(), NDArrayIndex.point(output)).dup();
    }
}
