package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;

import java.util.List;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/**
 * The mean of n equal floats is that float for powers of two, and only by luck else. Shared frozen values are not averaged at
 * all; those inside the vector move by an ulp in a round, which DL4J gives a network no chance to prevent.
 */
@Tag("heavy")
class AveragedFrozenValuesTest {

    @ParameterizedTest(name = "{0}, {1} workers")
    @CsvSource({"LAYERS_EMBEDDED, 2", "GRAPH_EMBEDDED, 2", "LAYERS_SHARED, 3", "GRAPH_SHARED, 5"})
    void frozenValuesStayBitForBit(Models.Kind kind, int workers) throws Exception {
        assertFrozenValuesStay(kind, workers);
    }

    @ParameterizedTest(name = "{0}, {1} workers")
    @CsvSource({"GRAPH_EMBEDDED, 4", "GRAPH_SHARED, 7"})
    void frozenValuesStayBitForBitWithManyWorkers(Models.Kind kind, int workers) throws Exception {
        assertFrozenValuesStay(kind, workers);
    }

    private static void assertFrozenValuesStay(Models.Kind kind, int workers) throws Exception {
        Model base = kind.base();
        Model tuned = averaged(kind.adapt(base), workers);

        assertThat(Models.params(Models.unload(tuned))).containsExactly(Models.params(base));
        assertThat(Models.outputs(tuned)).isNotEqualTo(Models.outputs(base));
        try (LoRA.Scope scope = LoRA.disabled(tuned)) {
            assertThat(Models.outputs(tuned)).containsExactly(Models.outputs(base));
        }
    }

    @ParameterizedTest(name = "{0}, {1} workers")
    @CsvSource({"LAYERS_EMBEDDED, 3", "GRAPH_EMBEDDED, 3"})
    void valuesInsideTheVectorMoveByRoundingAtMost(Models.Kind kind, int workers) throws Exception {
        assertValuesMoveByRoundingAtMost(kind, workers);
    }

    @ParameterizedTest(name = "{0}, {1} workers")
    @CsvSource("GRAPH_EMBEDDED, 7")
    void valuesInsideTheVectorMoveByRoundingAtMostWithManyWorkers(Models.Kind kind, int workers) throws Exception {
        assertValuesMoveByRoundingAtMost(kind, workers);
    }

    private static void assertValuesMoveByRoundingAtMost(Models.Kind kind, int workers) throws Exception {
        Model base = kind.base();
        Model tuned = averaged(kind.adapt(base), workers);

        assertThat(Models.params(Models.unload(tuned))).containsExactly(Models.params(base), within(1e-6));
    }

    private static Model averaged(Model tuned, int workers) throws Exception {
        List<DataSet> batches = IntStream.range(0, 6 * workers).mapToObj(i -> Networks.data(DataType.FLOAT, 8, i)).toList();
        try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(tuned).workers(workers).prefetchBuffer(0)
                .trainingMode(ParallelWrapper.TrainingMode.AVERAGING).averagingFrequency(1).averageUpdaters(true).build()) {
            wrapper.fit(new ListDataSetIterator<>(batches, 1));
        }
        return tuned;
    }
}
