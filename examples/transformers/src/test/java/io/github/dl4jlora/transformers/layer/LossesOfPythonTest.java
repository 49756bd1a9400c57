package io.github.dl4jlora.transformers.layer;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.InputStream;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

/** Against what PyTorch computes of the formulas of sentence-transformers. */
class LossesOfPythonTest {

    private static final IActivation IDENTITY = new ActivationIdentity();
    private static final double FLOAT_ERROR = 1e-6;
    private static final double DOUBLE_ERROR = 1e-12;

    /** As write_losses.py writes it. */
    record Case(double scale, int hardNegatives, boolean symmetric, int[] dimensions, double[] weights, double[] groups,
                double[][] embeddings, double loss, double[][] gradient) {

        InBatchNegatives settings() {
            InBatchNegatives both = new InBatchNegatives(scale).withHardNegatives(hardNegatives)
                    .withDimensions(dimensions, weights);
            return symmetric ? both : both.oneDirection();
        }

        @Override
        public String toString() {
            return settings() + (groups[0] == groups[2] ? " with duplicates" : "");
        }
    }

    static Stream<Case> cases() throws IOException {
        try (InputStream file = LossesOfPythonTest.class.getResourceAsStream("/contrastive/losses.json")) {
            return Stream.of(new ObjectMapper().readValue(file, Case[].class));
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void lossAndGradientAreThoseOfPyTorch(Case python) {
        for (DataType type : new DataType[]{DataType.FLOAT, DataType.DOUBLE}) {
            double error = type == DataType.FLOAT ? FLOAT_ERROR : DOUBLE_ERROR;
            INDArray embeddings = Nd4j.createFromArray(python.embeddings).castTo(type);
            INDArray groups = Nd4j.createFromArray(python.groups).reshape(python.groups.length, 1).castTo(type);
            assertThat(python.settings().computeScore(groups, embeddings, IDENTITY, null, true))
                    .isCloseTo(python.loss, withinPercentage(100 * error));

            // DL4J's updater divides by the rows.
            INDArray gradient = python.settings().computeGradient(groups, embeddings, IDENTITY, null);
            assertThat(gradient.dataType()).isEqualTo(type);
            INDArray mean = gradient.castTo(DataType.DOUBLE).div(python.groups.length);
            INDArray expected = Nd4j.createFromArray(python.gradient);
            assertThat(mean.sub(expected).norm2Number().doubleValue())
                    .isLessThan(error * expected.norm2Number().doubleValue());
        }
    }
}
