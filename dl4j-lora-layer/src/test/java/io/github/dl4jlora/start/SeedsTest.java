package io.github.dl4jlora.start;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Matrices of one shape start at values of their own, which the seed decides. */
class SeedsTest {

    private static final int SIZE = 6;

    private static NeuralNetConfiguration.Builder conf() {
        return new NeuralNetConfiguration.Builder().seed(1).activation(Activation.TANH);
    }

    private static Layer dense(String name) {
        return new DenseLayer.Builder().name(name).nIn(SIZE).nOut(SIZE).build();
    }

    private static Stream<Model> networks() {
        Layer out = new OutputLayer.Builder(LossFunction.MSE).name("out").nIn(SIZE).nOut(3)
                .activation(Activation.IDENTITY).build();
        return Stream.of(
                Networks.of(conf().list(dense("f1"), dense("f2"), dense("f3"), out).build()),
                Networks.of(conf().graphBuilder().addInputs("in").addLayer("f1", dense(null), "in")
                        .addLayer("f2", dense(null), "f1").addLayer("out", out, "f2").setOutputs("out").build()),
                Networks.of(conf().list(new LSTM.Builder().name("l1").nIn(SIZE).nOut(SIZE).build(),
                        new LSTM.Builder().name("l2").nIn(SIZE).nOut(SIZE).build(), new RnnOutputLayer.Builder(LossFunction.MSE)
                                .name("out").nIn(SIZE).nOut(3).activation(Activation.IDENTITY).build()).build()));
    }

    /** A of each matrix of the layers that are equal in shape. */
    private static List<INDArray> starts(Model base, long seed) {
        Model adapted = Models.apply(base, LoRAConfig.builder().rank(2).targets("[fl][0-9].*").seed(seed).build());
        return adapted.paramTable().entrySet().stream().filter(entry -> entry.getKey().endsWith("A"))
                .map(entry -> entry.getValue().dup()).toList();
    }

    @ParameterizedTest
    @MethodSource("networks")
    void eachMatrixHasAStartOfItsOwn(Model base) {
        List<INDArray> starts = starts(base, 7);

        assertThat(starts).hasSizeGreaterThanOrEqualTo(2).doesNotHaveDuplicates();
        assertThat(starts).allMatch(a -> a.size(0) == SIZE && a.norm2Number().doubleValue() > 0);
        assertThat(starts(base, 7)).as("the same seed").isEqualTo(starts);
        assertThat(starts(base, 8)).as("another seed").doesNotContainAnyElementsOf(starts);
    }
}
