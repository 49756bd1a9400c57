package io.github.dl4jlora.evidence.task;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;

class ChalkedDigitsTest {

    private static final long SEED = 1;

    private final ChalkedDigits task = new ChalkedDigits();

    @Test
    void allConvolutionsAndNothingElseAreTargets() {
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(2).scaling(Scaling.ALPHA_OVER_RANK)
                .targets(task.targets().toArray(String[]::new)).seed(SEED).build();

        assertThat(LoRA.summary(LoRA.apply(task.network(SEED), config)).rows()).allSatisfy(row ->
                assertThat(row.rank() > 0).as(row.toString()).isEqualTo(row.type().equals("ConvolutionLayer")))
                .filteredOn(row -> row.rank() > 0).hasSize(3);
    }

    @Test
    void paperIsDarkOnLightAndTheBoardLightOnDark() {
        Pictures.Lesson paper = task.before(SEED);
        INDArray board = task.then(SEED).train().get(0).getFeatures();
        INDArray pixels = paper.train().get(0).getFeatures();

        assertThat(pixels.minNumber().doubleValue()).isEqualTo(-1);
        assertThat(pixels.maxNumber().doubleValue()).isEqualTo(1);
        // What is added has the standard deviation 0.4 and the mean 0.
        assertThat(board.add(pixels).stdNumber().doubleValue()).isBetween(0.35, 0.45);
        assertThat(paper.train().get(0).getLabels()).isEqualTo(task.then(SEED).train().get(0).getLabels());
    }
}
