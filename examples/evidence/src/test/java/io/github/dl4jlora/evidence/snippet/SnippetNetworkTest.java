package io.github.dl4jlora.evidence.snippet;

import io.github.dl4jlora.evidence.Method;
import io.github.dl4jlora.evidence.Task;
import io.github.dl4jlora.evidence.task.TurnedDigits;
import org.assertj.core.data.Percentage;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Tag("heavy")
class SnippetNetworkTest {

    private static final double RATE = 1e-3;
    private static final int RANK = 4;
    private static final double FACTOR = Method.ALPHA / RANK;

    private final Task task = new TurnedDigits();
    private Task.Start start;
    private ComputationGraph library;
    private ComputationGraph snippet;

    @BeforeAll
    void bothFromOneBase() {
        start = task.start(1);
        library = Method.lora("", RANK, lora -> lora.trainable("out")).way().prepare(task, start, RATE, 1);
        snippet = SnippetNetwork.of(start.base(), task.targets(), List.of("out"), RANK, FACTOR, RATE, library);
    }

    @Test
    void theSnippetBeginsAsTheBaseMovesOnlyItsPathAndHeadAndGoesTheLibrarysWay() {
        INDArray questions = start.batches().get(0).getFeatures();
        assertThat(snippet.outputSingle(questions)).isEqualTo(start.base().outputSingle(questions));
        INDArray frozen = snippet.getLayer("fc2.frozen").getParam("W").dup();
        INDArray b = snippet.getLayer("fc2.path").getParam("B").dup();

        for (DataSet batch : start.batches().subList(0, 5)) {
            snippet.fit(batch);
            library.fit(batch);
            assertThat(snippet.score()).isCloseTo(library.score(), Percentage.withPercentage(0.1));
        }

        assertThat(snippet.getLayer("fc2.frozen").getParam("W")).isEqualTo(frozen);
        assertThat(snippet.getLayer("fc2.path").getParam("B")).isNotEqualTo(b);
        assertThat(b.amaxNumber().doubleValue()).isZero();
    }
}
