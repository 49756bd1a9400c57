package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.variant.Variants;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import static org.assertj.core.api.Assertions.assertThat;

/** Replicas, which DL4J makes from JSON, find what does not train; averaging leaves it alone. */
class VariantsInParallelTest {

    /** Between them they have every kind of variant, start and bias. */
    @ParameterizedTest
    @EnumSource(names = {"DORA_PISSA_BIAS", "LORA_FA_OLORA_BIAS"})
    void twoWorkersThatAverageTrainVariantsWithAnotherStartAndBiases(Variants variant) throws Exception {
        trainsInParallel(variant);
    }

    @Tag("heavy")
    @ParameterizedTest
    @EnumSource(names = {"LORA_FA", "DORA", "PISSA", "BIAS"})
    void twoWorkersThatAverageTrainEveryVariant(Variants variant) throws Exception {
        trainsInParallel(variant);
    }

    private static void trainsInParallel(Variants variant) throws Exception {
        for (FrozenStorage storage : FrozenStorage.values()) {
            ComputationGraph base = Networks.trainedGraph();
            double[] baseBefore = Models.params(base);
            ComputationGraph adapted = LoRA.apply(base, variant.config().storage(storage).build());
            double[] before = Models.params(adapted);

            try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(adapted).workers(2).prefetchBuffer(0)
                    .trainingMode(ParallelWrapper.TrainingMode.AVERAGING).averagingFrequency(2).averageUpdaters(true).build()) {
                wrapper.fit(new ListDataSetIterator<>(Networks.data(DataType.FLOAT, 64, 8).asList(), 8));
            }

            assertThat(Models.params(adapted)).isNotEqualTo(before).doesNotContain(Double.NaN);
            assertThat(Models.params(LoRA.unload(adapted))).isEqualTo(baseBefore);
            INDArray input = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);
            assertThat(Networks.difference(LoRA.merge(adapted).outputSingle(input), adapted.outputSingle(input)))
                    .isLessThan(1e-5);
        }
    }
}
