package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** DL4J's OCNNOutputLayer sets its parameter r itself: when it is made, and when an epoch ends. */
class OneClassTest {

    private static final int ROWS = 6;
    private static final double FIRST = 0.3;

    private static MultiLayerNetwork base() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1)).list()
                .layer(new DenseLayer.Builder().nIn(4).nOut(5).activation(Activation.TANH).name("fc").build())
                .layer(new OCNNOutputLayer.Builder().nIn(5).nu(0.1).initialRValue(FIRST).hiddenLayerSize(4).windowSize(ROWS)
                        .activation(new ActivationSigmoid()).name("out").build()).build());
    }

    private static DataSetIterator data() {
        return new ExistingDataSetIterator(List.of(new DataSet(Networks.random(DataType.FLOAT, 1, ROWS, 4),
                Nd4j.ones(DataType.FLOAT, ROWS, 1))));
    }

    private static MultiLayerNetwork tuned(MultiLayerNetwork base) {
        return LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc").trainable("out").updater(new Sgd(0.1)).build());
    }

    private static double r(MultiLayerNetwork network) {
        return network.getLayer("out").getParam("r").getDouble(0);
    }

    @Test
    void filesKeepWhatIsTrained(@TempDir Path folder) throws IOException {
        MultiLayerNetwork tuned = tuned(base());
        tuned.fit(data(), 1);
        assertThat(r(tuned)).isNotCloseTo(FIRST, within(1e-4));

        LoRA.save(tuned, folder.resolve("tuned.zip"), true);
        ModelSerializer.writeModel(tuned, folder.resolve("checkpoint.zip").toFile(), true);

        assertThat(r(LoRA.loadMultiLayerNetwork(folder.resolve("tuned.zip")))).isEqualTo(r(tuned));
        assertThat(r(LoRA.restoreMultiLayerNetwork(folder.resolve("checkpoint.zip"), true))).isEqualTo(r(tuned));
        assertThat(tuned.clone().params()).isEqualTo(tuned.params());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void itTrainsInFullHoweverLongTheBaseWasTrained(int epochs) {
        MultiLayerNetwork base = base();
        for (int epoch = 0; epoch < epochs; epoch++) {
            base.fit(data());
        }
        MultiLayerNetwork tuned = tuned(base);
        assertThat(r(tuned)).isEqualTo(r(base));

        tuned.fit(data(), 3);

        assertThat(r(tuned)).isNotEqualTo(r(base));
        assertThat(tuned.score()).isFinite();
    }
}
