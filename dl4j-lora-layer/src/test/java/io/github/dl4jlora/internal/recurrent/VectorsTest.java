package io.github.dl4jlora.internal.recurrent;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationHardSigmoid;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.activations.impl.ActivationReLU;
import org.nd4j.linalg.activations.impl.ActivationReLU6;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSoftSign;
import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Numbers on Java's heap agree with ND4J's. */
class VectorsTest {

    private static final List<IActivation> ACTIVATIONS = List.of(new ActivationTanH(), new ActivationSigmoid(),
            new ActivationHardSigmoid(), new ActivationReLU(), new ActivationIdentity());

    private static double[] numbers() {
        return IntStream.rangeClosed(-3000, 3000).mapToDouble(i -> i / 100.0 + 1e-4).toArray();
    }

    @ParameterizedTest
    @CsvSource({"FLOAT, 5e-7", "DOUBLE, 1e-15"})
    void curvesAndTheirSlopesAreThoseOfNd4j(DataType type, double tolerance) {
        for (IActivation activation : ACTIVATIONS) {
            Curve curve = Curve.of(activation);
            assertThat(curve).isNotNull();
            INDArray z = Nd4j.createFromArray(numbers()).castTo(type);
            double[] expected = activation.getActivation(z.dup(), false).toDoubleVector();
            double[] slopes = activation.backprop(z.dup(), Nd4j.ones(type, z.length())).getFirst().toDoubleVector();
            double[][] actual = type == DataType.FLOAT ? values(new FloatVectors(), curve) : values(new DoubleVectors(), curve);
            assertThat(largestDifference(actual[0], expected)).as("%s", activation).isLessThanOrEqualTo(tolerance);
            assertThat(largestDifference(actual[1], slopes)).as("slope of %s", activation).isLessThanOrEqualTo(2 * tolerance);
        }
    }

    /** Of arrays that are too long for an assertion about each value. */
    private static double largestDifference(double[] actual, double[] expected) {
        assertThat(actual).hasSameSizeAs(expected);
        double largest = 0;
        for (int i = 0; i < actual.length; i++) {
            largest = Math.max(largest, Math.abs(actual[i] - expected[i]));
        }
        return largest;
    }

    private static <V> double[][] values(Vectors<V> vectors, Curve curve) {
        double[] numbers = numbers();
        V value = vectors.zeros(numbers.length);
        vectors.repeat(numbers, value);
        vectors.apply(curve, value, value);
        V slope = vectors.zeros(numbers.length);
        vectors.repeat(new double[] {1}, slope);
        vectors.multiplySlope(curve, value, slope);
        double[][] sums = new double[2][numbers.length];
        vectors.addRows(value, sums[0]);
        vectors.addRows(slope, sums[1]);
        return sums;
    }

    @ParameterizedTest
    @EnumSource(names = {"TANH", "SIGMOID"})
    void curvesOfFloatHaveAnErrorOfAtMostAMillionth(Curve curve) {
        double[] numbers = IntStream.rangeClosed(-120_000, 120_000).mapToDouble(i -> (float) (i / 4096.0)).toArray();
        float[] values = new float[numbers.length];
        FloatVectors vectors = new FloatVectors();
        vectors.repeat(numbers, values);
        vectors.apply(curve, values, values);
        double[] exact = Arrays.stream(numbers).map(curve == Curve.TANH ? Math::tanh : x -> 1 / (1 + Math.exp(-x))).toArray();
        assertThat(largestDifference(IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray(), exact))
                .isLessThanOrEqualTo(1e-6);
    }

    @Test
    void whatIsNoNumberStaysNone() {
        for (Curve curve : Curve.values()) {
            float[] narrow = {Float.NaN};
            new FloatVectors().apply(curve, narrow, narrow);
            assertThat(narrow[0]).isNaN();
            double[] wide = {Double.NaN};
            new DoubleVectors().apply(curve, wide, wide);
            assertThat(wide[0]).isNaN();
        }
    }

    @Test
    void otherActivationsHaveNoCurve() {
        assertThat(Curve.of(new ActivationSoftSign())).isNull();
        assertThat(Curve.of(new ActivationReLU6())).isNull();
        assertThat(Curve.of(new ActivationReLU(6.0, 0.0, 0.1))).isNull();
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT", "DOUBLE"})
    void columnsOfRowsAreReadAndWritten(DataType type) {
        readAndWrite(Vectors.of(type), type);
    }

    private static <V> void readAndWrite(Vectors<V> vectors, DataType type) {
        INDArray matrix = Nd4j.linspace(0, 34, 35, type).reshape('c', 5, 7);
        List<V> columns = List.of(vectors.zeros(6), vectors.zeros(6));
        vectors.read(matrix, 2, 3, columns);
        double[] sums = new double[6];
        vectors.addRows(columns.get(1), sums);
        assertThat(sums).containsExactly(17, 18, 19, 24, 25, 26);

        INDArray copy = Nd4j.zeros(type, 5, 7);
        vectors.write(columns, copy, 1, 3);
        assertThat(copy.getRow(1).toDoubleVector()).containsExactly(14, 15, 16, 17, 18, 19, 0);
        assertThat(copy.getRow(2).toDoubleVector()).containsExactly(21, 22, 23, 24, 25, 26, 0);
        assertThat(copy.sumNumber().doubleValue()).isEqualTo(14 + 15 + 16 + 17 + 18 + 19 + 21 + 22 + 23 + 24 + 25 + 26);
    }
}
