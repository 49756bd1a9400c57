package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.constraint.MaxNormConstraint;
import org.deeplearning4j.nn.conf.weightnoise.DropConnect;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.learning.config.Sgd;

import static io.github.dl4jlora.layer.LoRADenseLayerTest.lora;
import static io.github.dl4jlora.layer.LoRADenseLayerTest.network;
import static io.github.dl4jlora.layer.LoRADenseLayerTest.output;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Settings, penalties, constraints and noise of an adapted dense layer reach A and B alone. */
class WhatTrainsTest {

    @Test
    void globalAndOwnSettingsReachTheAdapters() {
        LoRADenseLayer layer = lora().updater(new Adam(0.02)).biasUpdater(new Sgd(5)).l1(0.1).l2(0.2)
                .gradientNormalization(GradientNormalization.ClipL2PerLayer).gradientNormalizationThreshold(3)
                .name("mine").build();

        assertThat(layer.getUpdaterByParam("A")).isEqualTo(new Adam(0.02));
        assertThat(layer.getUpdaterByParam("B")).isEqualTo(new Adam(0.02));
        assertThat(layer.getUpdaterByParam("W")).isInstanceOf(NoOp.class);
        assertThat(layer.getUpdaterByParam("b")).isInstanceOf(NoOp.class);
        assertThat(layer.getRegularizationByParam("A")).hasSize(2);
        assertThat(layer.getRegularizationByParam("W")).isNull();
        assertThat(layer.getGradientNormalization()).isEqualTo(GradientNormalization.ClipL2PerLayer);
        assertThat(layer.getGradientNormalizationThreshold()).isEqualTo(3);
        assertThat(layer.getLayerName()).isEqualTo("mine");
    }

    @Test
    void regularizationScoresAdaptersAlone() {
        MultiLayerNetwork network = network(lora().l1(0.1).l2(0.2).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        INDArray a = network.getParam("0_A");
        INDArray b = network.getParam("0_B");

        double expected = 0.1 * (a.norm1Number().doubleValue() + b.norm1Number().doubleValue())
                + 0.5 * 0.2 * (Math.pow(a.norm2Number().doubleValue(), 2) + Math.pow(b.norm2Number().doubleValue(), 2));

        assertThat(network.getLayer(0).calcRegularizationScore(true)).isCloseTo(expected, within(1e-5));
    }

    @Test
    void weightDecayShrinksAdaptersAlone() {
        MultiLayerNetwork network = network(lora().updater(new Sgd(0.5)).weightDecay(0.1).build());
        MultiLayerNetwork free = network(lora().updater(new Sgd(0.5)).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        free.params().assign(network.params());
        INDArray a = network.getParam("0_A").dup();
        INDArray w = network.getParam("0_W").dup();

        network.fit(Networks.data(DataType.FLOAT, 4, 1));
        free.fit(Networks.data(DataType.FLOAT, 4, 1));

        assertThat(Networks.difference(free.getParam("0_A").sub(network.getParam("0_A")), a.mul(0.5 * 0.1))).isLessThan(1e-6);
        assertThat(network.getParam("0_W")).isEqualTo(w);
    }

    @Test
    void constraintsMoveAdaptersAlone() {
        for (boolean global : new boolean[]{false, true}) {
            MaxNormConstraint tight = new MaxNormConstraint(1e-3, 1);
            LoRADenseLayer.Builder builder = lora().biasInit(3);
            NeuralNetConfiguration.Builder conf = new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1));
            if (global) {
                conf.constrainWeights(tight);
            } else {
                builder.constrainAllParameters(tight).constrainBias(tight).constrainWeights(tight);
            }
            MultiLayerNetwork network = Networks.of(conf.list().layer(builder.build()).layer(output().build()).build());
            INDArray w = network.getParam("0_W").dup();
            INDArray b = network.getParam("0_b").dup();

            network.fit(Networks.data(DataType.FLOAT, 4, 1));

            assertThat(network.getParam("0_A").norm2(1).maxNumber().doubleValue()).isLessThan(1.1e-3);
            assertThat(network.getParam("0_W")).isEqualTo(w);
            assertThat(network.getParam("0_b")).isEqualTo(b);
        }
    }

    @Test
    void dropConnectDropsEntriesOfAdaptersWhileTrainingAndNotInInference() {
        MultiLayerNetwork network = network(lora().weightNoise(new DropConnect(0.5)).build());
        MultiLayerNetwork plain = network(lora().build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        plain.params().assign(network.params());
        DataSet data = Networks.data(DataType.FLOAT, 4, 1);
        INDArray w = network.getParam("0_W").dup();

        assertThat(network.output(data.getFeatures())).isEqualTo(plain.output(data.getFeatures()));
        assertThat(network.output(data.getFeatures(), true)).isNotEqualTo(network.output(data.getFeatures(), true));
        network.fit(data);
        assertThat(network.getParam("0_W")).isEqualTo(w);
        assertThat(Double.isFinite(network.score())).isTrue();
    }

    @Test
    void dropConnectUsesOneMaskForForwardAndBackward() {
        MultiLayerNetwork network = network(DataType.DOUBLE, lora().weightNoise(new DropConnect(0.5)).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        DataSet data = Networks.data(DataType.DOUBLE, 4, 1);
        Nd4j.getRandom().setSeed(9);
        INDArray analytic = Twins.gradients(network, data).get("0_A").divi(4);
        INDArray a = network.getParam("0_A");
        int dropped = 0;

        for (int i = 0; i < 6; i++) {
            for (int j = 0; j < 2; j++) {
                double value = a.getDouble(i, j);
                double up = scoreWith(network, data, a, i, j, value + 1e-6);
                double down = scoreWith(network, data, a, i, j, value - 1e-6);
                a.putScalar(i, j, value);
                if (up == down) {
                    dropped++;
                } else {
                    assertThat((up - down) / 2e-6).isCloseTo(analytic.getDouble(i, j), within(1e-7));
                }
            }
        }
        assertThat(dropped).isBetween(1, 11);
    }

    private static double scoreWith(MultiLayerNetwork network, DataSet data, INDArray a, int i, int j, double value) {
        a.putScalar(i, j, value);
        Nd4j.getRandom().setSeed(9);
        return network.score(data, true);
    }

    @Test
    void setLearningRateReachesTheAdapters() {
        MultiLayerNetwork network = network(lora().updater(new Sgd(0.1)).build());
        Networks.randomizeAdapters(network.paramTable(), 3);
        INDArray a = network.getParam("0_A").dup();

        network.setLearningRate(0);
        network.fit(Networks.data(DataType.FLOAT, 4, 1));

        assertThat(network.getParam("0_A")).isEqualTo(a);
        assertThat(network.getLearningRate(0)).isZero();
    }
}
