package io.github.dl4jlora.internal.undo;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class MergedValuesTest {

    private static MultiLayerNetwork base() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1)
                .updater(new Sgd(0.1)).list()
                .layer(new Bidirectional(new LSTM.Builder().nIn(3).nOut(4).build()))
                .layer(new DenseLayer.Builder().nIn(8).nOut(5).build())
                .layer(new RnnOutputLayer.Builder().nIn(5).nOut(2).build()).build());
        network.init();
        return network;
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(2).allTargets().updater(new Sgd(0.1));
    }

    static Stream<LoRAConfig> configurations() {
        return Stream.of(config(), config().variant(new DoRA()).exclude("layer0"), config().bias(BiasTraining.ALL),
                config().copyBase(true),
                config().storage(FrozenStorage.EMBEDDED), config().quantize(Quantization.NF4),
                config().targets("layer1").trainable("layer0"))
                .map(LoRAConfig.Builder::build);
    }

    @ParameterizedTest
    @MethodSource("configurations")
    void eachLayerHasWhatAMergeGivesIt(LoRAConfig config) {
        MultiLayerNetwork tuned = LoRA.apply(base(), config);
        Nd4j.getRandom().setSeed(2);
        tuned.params().addi(Nd4j.rand(DataType.FLOAT, tuned.params().shape()).muli(0.1));

        assertSame(tuned, LoRA.merge(tuned));
    }

    @Test
    void eachLayerOfAFrozenNetworkHasWhatItKeeps() {
        assertSame(base(), base());
        assertSame(LoRA.freeze(base()), base());
    }

    private static void assertSame(MultiLayerNetwork network, MultiLayerNetwork stock) {
        Network<?> nodes = Networks.of(network);
        try (MergedValues values = MergedValues.of(nodes, "A test")) {
            for (Node node : nodes.nodes()) {
                Map<String, INDArray> expected = Networks.of(stock).runtime(node.name()).paramTable(false);
                Map<String, long[]> shapes = values.shapes(node);

                assertThat(values.values(node)).isEqualTo(expected);
                assertThat(shapes.keySet()).isEqualTo(expected.keySet());
                assertThat(shapes).allSatisfy((key, shape) -> assertThat(shape).isEqualTo(expected.get(key).shape()));
                assertThat(values.layer(node)).isEqualTo(Networks.of(stock).node(node.name()).layer());
            }
        }
    }

    @Test
    void whatIsMergedIsFreedWhenTheNextLayerIsAskedFor() {
        Network<?> nodes = Networks.of(LoRA.apply(base(), config().build()));
        try (MergedValues values = MergedValues.of(nodes, "A test")) {
            INDArray first = values.values(nodes.nodes().get(0)).values().iterator().next();
            assertThat(values.values(nodes.nodes().get(0)).values().iterator().next()).isSameAs(first);
            values.values(nodes.nodes().get(1));

            assertThat(first.wasClosed()).isTrue();
        }
    }

    @Test
    void disabledAdaptersAndClosedNetworksAreRefused() {
        MultiLayerNetwork tuned = LoRA.apply(base(), config().build());
        try (LoRA.Scope disabled = LoRA.disabled(tuned)) {
            assertThatThrownBy(() -> MergedValues.of(Networks.of(tuned), "A test")).isInstanceOf(IllegalStateException.class)
                    .hasMessageStartingWith("A test was called inside a scope");
        }
        tuned.close();
        assertThatThrownBy(() -> MergedValues.of(Networks.of(tuned), "A test")).isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("The network was closed");
    }
}
