package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.updater.BaseMultiLayerUpdater;
import org.deeplearning4j.nn.updater.MultiLayerUpdater;
import org.deeplearning4j.nn.updater.UpdaterBlock;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** An updater that is sparing of views updates as DL4J's own does, and is one for copies, states and files. */
class SparingBlockTest {

    private static final int STEPS = 5;

    private static MultiLayerNetwork adapted(double l2, double weightDecay) {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(12).updater(new Adam(0.01)).l2(l2)
                .weightDecay(weightDecay).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Networks.IN).nOut(Networks.HIDDEN).build())
                .layer(new OutputLayer.Builder().name("out").nOut(Networks.OUT).activation(Activation.SOFTMAX).build()).build());
        return LoRA.apply(base, LoRAConfig.builder().trainable("out").build());
    }

    private static List<UpdaterBlock> blocks(MultiLayerNetwork network) {
        return ((BaseMultiLayerUpdater<?>) network.getUpdater()).getUpdaterBlocks();
    }

    private static void fit(MultiLayerNetwork network, int from, int to) {
        for (int i = from; i < to; i++) {
            network.fit(Networks.data(DataType.FLOAT, 8, i));
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 0.01})
    void updatesAreThoseOfDl4jsOwn(double regularization) {
        MultiLayerNetwork sparing = adapted(regularization, regularization / 2);
        MultiLayerNetwork stock = sparing.clone();
        for (int i = 0; i < STEPS; i++) {
            fit(sparing, i, i + 1);
            stock.setUpdater(new MultiLayerUpdater(stock, stock.getUpdater().getStateViewArray()));
            fit(stock, i, i + 1);
        }

        assertThat(blocks(sparing)).hasOnlyElementsOfType(SparingBlock.class);
        assertThat(blocks(stock)).allMatch(block -> block.getClass() == UpdaterBlock.class);
        assertThat(sparing.params()).isEqualTo(stock.params());
        assertThat(sparing.getUpdater().getStateViewArray()).isEqualTo(stock.getUpdater().getStateViewArray());
    }

    @Test
    void nothingIsMadeBeforeTheFirstStep() {
        MultiLayerNetwork network = adapted(0, 0);

        assertThat(network.getUpdater(false)).as("thousands of adapted networks only serve").isNull();
    }

    @Test
    void aStateThatIsSetLaterIsUsed() {
        MultiLayerNetwork first = adapted(0, 0);
        fit(first, 0, STEPS);
        INDArray state = first.getUpdater().getStateViewArray().dup();
        INDArray params = first.params().dup();
        fit(first, STEPS, STEPS + 1);
        INDArray expected = first.params().dup();
        fit(first, STEPS + 1, STEPS + 3);

        first.setParams(params);
        first.getUpdater().setStateViewArray(first, state, false);
        first.setIterationCount(STEPS);
        fit(first, STEPS, STEPS + 1);

        assertThat(first.params()).isEqualTo(expected);
    }

    @Test
    void anUpdaterThatTheUserSetsStaysAsItIs() {
        MultiLayerNetwork network = adapted(0, 0);
        MultiLayerUpdater own = new MultiLayerUpdater(network);
        fit(network, 0, 1);
        network.setUpdater(own);
        fit(network, 1, 3);

        assertThat(network.getUpdater()).isSameAs(own);
        assertThat(own.getUpdaterBlocks()).allMatch(block -> block.getClass() == UpdaterBlock.class);
    }

    @Test
    void aStepOfThreeAdaptedLayersMakesFewArrays() {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(0.01))
                .activation(Activation.RELU).list();
        for (int i = 0; i < 3; i++) {
            list.layer(new DenseLayer.Builder().nIn(16).nOut(16).build());
        }
        MultiLayerNetwork base = Networks.of(list.layer(new OutputLayer.Builder().nIn(16).nOut(Networks.OUT)
                .activation(Activation.SOFTMAX).build()).build());
        MultiLayerNetwork network = LoRA.apply(base, LoRAConfig.builder().targets("layer[0-2]").build());
        INDArray x = Networks.random(DataType.FLOAT, 5, 8, 16);
        INDArray y = Networks.data(DataType.FLOAT, 8, 1).getLabels();
        for (int i = 0; i < STEPS; i++) {
            network.fit(x, y);
        }

        long before = Nd4j.create(1).getId();
        for (int i = 0; i < STEPS; i++) {
            network.fit(x, y);
        }
        double arrays = (Nd4j.create(1).getId() - before - 1) / (double) STEPS;

        assertThat(arrays).as("arrays for each step").isLessThan(60);
    }
}
