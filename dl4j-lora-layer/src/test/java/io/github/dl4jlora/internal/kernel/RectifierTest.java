package io.github.dl4jlora.internal.kernel;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;

/** ReLU by loops of ours has the bits of ND4J's, for every kind of number, in any order. */
class RectifierTest {

    private static final float[] SPECIAL = {0f, -0f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE,
        -Float.MIN_VALUE, Float.MAX_VALUE, -Float.MAX_VALUE, Float.intBitsToFloat(0xffc00000)};
    private static final IActivation RELU = new ActivationReLU();

    private static INDArray values(Random random, int rows, int columns, char order) {
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextInt(4) == 0 ? SPECIAL[random.nextInt(SPECIAL.length)] : (float) random.nextGaussian();
        }
        return Nd4j.create(values, new long[] {rows, columns}, 'c').dup(order);
    }

    private static int[] bits(INDArray array) {
        int[] bits = new int[(int) array.length()];
        for (int i = 0; i < bits.length; i++) {
            float value = array.getFloat(i / array.columns(), i % array.columns());
            bits[i] = Float.isNaN(value) ? Float.floatToIntBits(value) : Float.floatToRawIntBits(value);
        }
        return bits;
    }

    @Property(tries = 100, seed = "24")
    void theActivationIsNd4js(@ForAll @IntRange(min = 1, max = 70) int rows, @ForAll @IntRange(min = 1, max = 70) int columns,
            @ForAll boolean byColumn, @ForAll int seed) {
        INDArray z = values(new Random(seed), rows, columns, byColumn ? 'f' : 'c');
        int[] before = bits(z);
        int[] expected = bits(RELU.getActivation(z.dup(z.ordering()), true));

        assertThat(bits(DenseArithmetic.activated(RELU, z, LayerWorkspaceMgr.noWorkspaces()))).isEqualTo(expected);
        assertThat(bits(z)).isEqualTo(before);
        assertThat(bits(DenseArithmetic.activate(RELU, z, false))).isEqualTo(expected);
    }

    @Property(tries = 100, seed = "24")
    void theGradientIsNd4js(@ForAll @IntRange(min = 1, max = 70) int rows, @ForAll @IntRange(min = 1, max = 70) int columns,
            @ForAll boolean byColumn, @ForAll boolean epsilonByColumn, @ForAll int seed) {
        Random random = new Random(seed);
        INDArray z = values(random, rows, columns, byColumn ? 'f' : 'c');
        INDArray epsilon = values(random, rows, columns, epsilonByColumn ? 'f' : 'c');
        int[] given = bits(epsilon);
        int[] expected = bits(RELU.backprop(z.dup(), epsilon.dup()).getFirst());

        INDArray gradient = DenseArithmetic.activationGradient(RELU, z, epsilon, LayerWorkspaceMgr.noWorkspaces());

        assertThat(bits(gradient)).isEqualTo(expected);
        assertThat(bits(epsilon)).as("others may look at it").isEqualTo(given);
    }

    @ParameterizedTest
    @EnumSource(names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void everyTypeHasAGradient(DataType type) {
        INDArray z = Nd4j.createFromArray(-2f, -0f, 0f, 0.5f, Float.NaN, 3f).reshape(2, 3).castTo(type);
        INDArray epsilon = Nd4j.createFromArray(Float.POSITIVE_INFINITY, 1f, 1f, -2f, 1f, 1.5f).reshape(2, 3).castTo(type);

        INDArray gradient = DenseArithmetic.activationGradient(RELU, z, epsilon, LayerWorkspaceMgr.noWorkspaces());

        assertThat(gradient.dataType()).isEqualTo(type);
        assertThat(gradient.castTo(DataType.FLOAT).data().asFloat()).containsExactly(0f, 0f, 0f, -2f, 0f, 1.5f);
    }
}
