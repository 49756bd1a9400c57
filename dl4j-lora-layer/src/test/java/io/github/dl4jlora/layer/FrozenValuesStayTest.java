package io.github.dl4jlora.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.AdaDelta;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.AdaMax;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nadam;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.RmsProp;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Embedded frozen values sit in the trainer's reach, and still nothing it does moves them by a bit. */
class FrozenValuesStayTest {

    /** All but AdaBelief, which indexes past the learning rate array of this DL4J whatever the network. */
    static Stream<Arguments> trainers() {
        Stream<IUpdater> updaters = Stream.of(new Sgd(0.1), new Nesterovs(0.1, 0.9), new AdaGrad(0.1), new AdaDelta(),
                new RmsProp(0.01), new Adam(0.01), new AdaMax(0.01), new AMSGrad(0.01), new Nadam(0.01));
        return updaters.flatMap(updater -> Stream.of(GradientNormalization.values()).map(mode -> Arguments.of(updater, mode)));
    }

    @ParameterizedTest
    @MethodSource("trainers")
    void frozenValuesOfDeclaredLayersStay(IUpdater updater, GradientNormalization mode) {
        MultiLayerNetwork network = Networks.of(conf(updater, mode).list()
                .layer(new LoRADenseLayer.Builder().nIn(Networks.IN).nOut(4).rank(2).hasLayerNorm(true).build())
                .layer(new LoRADenseLayer.Builder().nOut(4).rank(2).build())
                .layer(output()).build());

        assertOnlyTrains(network, "0_A", "0_B", "1_A", "1_B", "2_W", "2_b");
    }

    @ParameterizedTest
    @MethodSource("trainers")
    void frozenValuesOfConvertedNetworksStay(IUpdater updater, GradientNormalization mode) {
        MultiLayerNetwork base = Networks.of(conf(updater, mode).list()
                .layer(new DenseLayer.Builder().nIn(Networks.IN).nOut(4).hasLayerNorm(true).build())
                .layer(new DenseLayer.Builder().nOut(4).build())
                .layer(output()).build());

        MultiLayerNetwork network = LoRA.apply(base, LoRAConfig.builder().rank(2).storage(FrozenStorage.EMBEDDED).build());

        assertOnlyTrains(network, "0_A", "0_B", "1_A", "1_B");
    }

    private static void assertOnlyTrains(MultiLayerNetwork network, String... trained) {
        Map<String, INDArray> before = new HashMap<>();
        network.paramTable().forEach((key, value) -> before.put(key, value.dup()));

        for (int step = 0; step < 3; step++) {
            network.fit(Networks.data(DataType.FLOAT, 4, step));
        }

        network.paramTable().forEach((key, value) -> {
            if (List.of(trained).contains(key)) {
                assertThat(bits(value)).as(key).isNotEqualTo(bits(before.get(key)));
                assertThat(Float.isFinite(value.sumNumber().floatValue())).as(key).isTrue();
            } else {
                assertThat(bits(value)).as(key).isEqualTo(bits(before.get(key)));
            }
        });
    }

    private static int[] bits(INDArray array) {
        float[] values = array.dup().data().asFloat();
        int[] bits = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            bits[i] = Float.floatToRawIntBits(values[i]);
        }
        return bits;
    }

    private static NeuralNetConfiguration.Builder conf(IUpdater updater, GradientNormalization mode) {
        return new NeuralNetConfiguration.Builder().seed(1).updater(updater).gradientNormalization(mode)
                .gradientNormalizationThreshold(0.01).weightDecay(0.01).l1(0.01).l2(0.01).biasUpdater(new Sgd(1))
                .activation(Activation.TANH);
    }

    private static OutputLayer output() {
        return new OutputLayer.Builder(LossFunction.MCXENT).nOut(Networks.OUT).activation(Activation.SOFTMAX).build();
    }
}
