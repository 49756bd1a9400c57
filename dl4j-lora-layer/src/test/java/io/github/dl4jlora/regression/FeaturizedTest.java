package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;

import static org.assertj.core.api.Assertions.assertThat;

/** TransferLearningHelper computes the frozen bottom of an adapted network once, and trains the rest on that. */
class FeaturizedTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 8, 3);

    private static LoRAConfig config(FrozenStorage storage) {
        return LoRAConfig.builder().rank(2).targets("fc2").storage(storage).updater(new Sgd(0.5)).build();
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void bottomOfAnAdaptedChainIsComputedOnce(FrozenStorage storage) {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), config(storage));
        check(tuned, new TransferLearningHelper(tuned, 0));
    }

    /** The bottom that LoRA.apply froze is found without being named. */
    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void frozenBottomOfAnAdaptedChainIsFound(FrozenStorage storage) {
        MultiLayerNetwork tuned = LoRA.apply(Networks.trainedLayers(), config(storage));
        check(tuned, new TransferLearningHelper(tuned));
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void bottomOfAnAdaptedGraphIsComputedOnce(FrozenStorage storage) {
        ComputationGraph tuned = LoRA.apply(Networks.trainedGraph(), config(storage));
        check(tuned, new TransferLearningHelper(tuned, "fc1"));
    }

    @ParameterizedTest
    @EnumSource(FrozenStorage.class)
    void frozenBottomOfAnAdaptedGraphIsFound(FrozenStorage storage) {
        ComputationGraph tuned = LoRA.apply(Networks.trainedGraph(), config(storage));
        check(tuned, new TransferLearningHelper(tuned));
    }

    private static void check(Model tuned, TransferLearningHelper helper) {
        INDArray before = Models.output(tuned, DATA.getFeatures()).dup();

        DataSet featurized = helper.featurize(DATA);

        assertThat(featurized.getFeatures().shape()).containsExactly(8, Networks.HIDDEN);
        assertThat(Networks.difference(helper.outputFromFeaturized(featurized.getFeatures()), before)).isLessThan(1e-6);
        for (int i = 0; i < 5; i++) {
            helper.fitFeaturized(featurized);
        }
        INDArray after = helper.outputFromFeaturized(featurized.getFeatures());
        assertThat(Networks.difference(after, before)).isGreaterThan(1e-4);
        assertThat(Networks.difference(Models.output(tuned, DATA.getFeatures()), after)).as("the network itself")
                .isLessThan(1e-6);
    }
}
