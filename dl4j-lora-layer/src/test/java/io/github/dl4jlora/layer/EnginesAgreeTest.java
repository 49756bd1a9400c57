package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Each engine is the other's oracle, and the algebra written out is the oracle of both. */
class EnginesAgreeTest {

    /** Layer normalisation divides by a small deviation, and a last digit of the sum with it: hence its tolerance in FLOAT. */
    @ParameterizedTest
    @CsvSource({"FLOAT, 1e-6, false", "FLOAT, 1e-5, true", "DOUBLE, 1e-12, false", "DOUBLE, 1e-12, true"})
    void enginesAgreeOnOutputsGradientsAndTenSteps(DataType type, double tolerance, boolean norm) {
        MultiLayerNetwork fused = network(type, Engine.FUSED, norm);
        MultiLayerNetwork sameDiff = network(type, Engine.SAMEDIFF, norm);
        DataSet data = Networks.data(type, 8, 1);

        assertClose(fused.output(data.getFeatures()), sameDiff.output(data.getFeatures()), tolerance);
        Map<String, INDArray> expected = Twins.gradients(sameDiff, data);
        Map<String, INDArray> actual = Twins.gradients(fused, data);
        assertThat(actual).containsOnlyKeys(expected.keySet());
        expected.forEach((key, gradient) -> assertClose(actual.get(key), gradient, tolerance));
        for (int step = 0; step < 10; step++) {
            fused.fit(Networks.data(type, 8, step));
            sameDiff.fit(Networks.data(type, 8, step));
        }
        assertClose(fused.params(), sameDiff.params(), tolerance);
    }

    /** Relative to the largest value there is. */
    private static void assertClose(INDArray actual, INDArray expected, double tolerance) {
        assertThat(Networks.difference(actual, expected) / Twins.largest(expected)).isLessThan(tolerance);
    }

    private static MultiLayerNetwork network(DataType type, Engine engine, boolean norm) {
        return new Twins.Recipe().type(type).hasLayerNorm(norm).lora(builder -> builder.engine(engine)).build().lora();
    }

    /** The network of {@link Twins} written out: two tanh layers, the second with a low-rank path, and a softmax. */
    private static final class Algebra {

        private final double s;
        private final INDArray w0;
        private final INDArray b0;
        private final INDArray w1;
        private final INDArray b1;
        private final INDArray a;
        private final INDArray b;
        private final INDArray w2;
        private final INDArray b2;

        Algebra(MultiLayerNetwork network, double s) {
            this.s = s;
            w0 = network.getParam("0_W").dup();
            b0 = network.getParam("0_b").dup();
            w1 = network.getParam("1_W").dup();
            b1 = network.getParam("1_b").dup();
            a = network.getParam("1_A").dup();
            b = network.getParam("1_B").dup();
            w2 = network.getParam("2_W").dup();
            b2 = network.getParam("2_b").dup();
        }

        void sgdStep(INDArray x, INDArray labels, double rate) {
            INDArray h0 = Transforms.tanh(x.mmul(w0).addRowVector(b0));
            INDArray h1 = Transforms.tanh(h0.mmul(w1).add(h0.mmul(a).mmul(b).mul(s)).addRowVector(b1));
            INDArray p = Transforms.softmax(h1.mmul(w2).addRowVector(b2));

            INDArray dz2 = p.sub(labels).div(x.size(0));
            INDArray dz1 = dz2.mmul(w2.transpose()).mul(h1.mul(h1).rsub(1));
            INDArray dh0 = dz1.mmul(w1.transpose()).add(dz1.mmul(b.transpose()).mmul(a.transpose()).mul(s));
            INDArray dz0 = dh0.mul(h0.mul(h0).rsub(1));
            INDArray da = h0.transpose().mmul(dz1).mmul(b.transpose()).mul(s);
            INDArray db = a.transpose().mmul(h0.transpose()).mmul(dz1).mul(s);

            w2.subi(h1.transpose().mmul(dz2).mul(rate));
            b2.subi(dz2.sum(0).mul(rate));
            a.subi(da.mul(rate));
            b.subi(db.mul(rate));
            w0.subi(x.transpose().mmul(dz0).mul(rate));
            b0.subi(dz0.sum(0).mul(rate));
        }

        Map<String, INDArray> parameters() {
            return Map.of("0_W", w0, "0_b", b0, "1_W", w1, "1_b", b1, "1_A", a, "1_B", b, "2_W", w2, "2_b", b2);
        }
    }

    @Test
    void fiftySgdStepsFollowTheAlgebra() {
        MultiLayerNetwork fused = network(DataType.DOUBLE, Engine.FUSED, false);
        MultiLayerNetwork sameDiff = network(DataType.DOUBLE, Engine.SAMEDIFF, false);
        Algebra algebra = new Algebra(fused, 0.7);
        INDArray start = fused.getParam("1_A").dup();

        for (int step = 0; step < 50; step++) {
            DataSet data = Networks.data(DataType.DOUBLE, 8, step % 5);
            fused.fit(data);
            sameDiff.fit(data);
            algebra.sgdStep(data.getFeatures(), data.getLabels(), 0.1);
        }

        assertThat(Networks.difference(fused.getParam("1_A"), start)).isGreaterThan(0.01);
        algebra.parameters().forEach((key, value) -> {
            assertThat(Networks.difference(fused.getParam(key), value)).as("FUSED " + key).isLessThan(1e-9);
            assertThat(Networks.difference(sameDiff.getParam(key), value)).as("SAMEDIFF " + key).isLessThan(1e-9);
        });
    }

    @Test
    void enginesDropTheSameInputsFromTheSameSeed() {
        INDArray[] gradients = new INDArray[2];
        for (Engine engine : List.of(Engine.FUSED, Engine.SAMEDIFF)) {
            MultiLayerNetwork network = new Twins.Recipe().lora(builder -> builder.engine(engine).loraDropout(0.5))
                    .build().lora();
            Nd4j.getRandom().setSeed(5);
            gradients[engine.ordinal()] = Twins.gradients(network, Networks.data(DataType.DOUBLE, 8, 1)).get(Twins.A);
        }

        assertClose(gradients[0], gradients[1], 1e-12);
    }
}
