package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.internal.run.Routing;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What layers keep between passes follows the values that it was made from. */
@ExtendWith(DoublePrecision.class)
class NothingStaleTest {

    private static final INDArray SEQUENCES = Networks.random(DataType.DOUBLE, 5, 2, 4, 7);

    private static final Map<String, Layer> LAYERS = Map.of(
            "kernel, W reordered", new Convolution1DLayer.Builder().kernelSize(3).nIn(4).nOut(5).build(),
            "effective weights", new SimpleRnn.Builder().nIn(4).nOut(5).activation(Activation.SELU).build(),
            "recurrent kernel", new LSTM.Builder().nIn(4).nOut(5).build());

    private static MultiLayerNetwork base(Layer first) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .dataType(DataType.DOUBLE).list().layer(first)
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).nIn(5).nOut(2)
                        .activation(Activation.IDENTITY).build())
                .build());
    }

    @Test
    void embeddedWeightsOfASequenceConvolutionFollowSetParams() {
        MultiLayerNetwork base = base(new Convolution1DLayer.Builder().kernelSize(3).nIn(4).nOut(5)
                .activation(Activation.TANH).build());
        MultiLayerNetwork net = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("layer0")
                .storage(FrozenStorage.EMBEDDED).build());
        INDArray x = Networks.random(DataType.DOUBLE, 5, 2, 4, 7);
        INDArray before = net.output(x);

        net.setParams(net.params().mul(2));

        assertThat(net.output(x)).isEqualTo(net.clone().output(x)).isNotEqualTo(before);
    }

    @Test
    void effectiveWeightsThatCouldNotBeMadeAreMadeAgain() {
        MultiLayerNetwork base = base(new LSTM.Builder().nIn(4).nOut(5).activation(Activation.TANH).build());
        MultiLayerNetwork net = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("layer0").build());
        net.params().addi(0.3);
        INDArray x = Networks.random(DataType.DOUBLE, 5, 2, 4, 7);
        INDArray before = net.output(x);
        AdaptedRuntime layer = (AdaptedRuntime) net.getLayer(0);
        INDArray rankTwo = Nd4j.ones(DataType.DOUBLE, 4, 2);
        INDArray rankThree = Nd4j.ones(DataType.DOUBLE, 3, 20);

        layer.route("W", 0, () -> false, List.of(new Route(0, 2, rankTwo, rankThree, 1)));
        assertThatThrownBy(() -> net.output(x)).isInstanceOf(RuntimeException.class);
        layer.route("W", 0, () -> false, null);

        assertThat(net.output(x)).isEqualTo(before);
    }

    private static Map<String, List<Route>> routes(MultiLayerNetwork net, double value) {
        Map<String, List<Route>> routes = new HashMap<>();
        adapter(net).configuration().adapted().forEach(matrix -> routes.put(matrix.key(), List.of(new Route(0, 0,
                Nd4j.valueArrayOf(new long[] {matrix.nIn(), 2}, value, DataType.DOUBLE),
                Nd4j.valueArrayOf(new long[] {2, matrix.nOut()}, value, DataType.DOUBLE), 0.5))));
        return routes;
    }

    private static MultiLayerNetwork adapted(MultiLayerNetwork base) {
        return LoRA.apply(base, LoRAConfig.builder().rank(2).targets("layer0").build());
    }

    private static Adapter adapter(MultiLayerNetwork net) {
        return ((AdaptedRuntime) net.getLayer(0)).adapter();
    }

    /** As a bank does: the layer's own path runs again afterwards. */
    private static INDArray routed(MultiLayerNetwork net, long examples, Map<String, List<Route>> routes) {
        AdaptedRuntime layer = (AdaptedRuntime) net.getLayer(0);
        try {
            routes.forEach((key, some) -> layer.route(key, examples, () -> false, some));
            return net.output(SEQUENCES).dup();
        } finally {
            routes.keySet().forEach(key -> layer.route(key, 0, () -> false, null));
        }
    }

    @Test
    void routesThatChangeBackAndForthAreFollowed() {
        LAYERS.forEach((name, layer) -> {
            MultiLayerNetwork base = base(layer.clone());
            MultiLayerNetwork net = adapted(base);
            net.params().addi(0.3);
            Map<String, List<Route>> one = routes(net, 0.2);
            Map<String, List<Route>> other = routes(net, 0.4);
            Map<String, List<Route>> none = new HashMap<>(one);
            none.replaceAll((key, some) -> List.of());
            List<INDArray> expected = new ArrayList<>();
            for (Map<String, List<Route>> routes : List.of(one, other, none, Map.<String, List<Route>>of())) {
                expected.add(routed(net.clone(), 0, routes));
            }

            for (int i : new int[] {0, 0, 1, 1, 0, 2, 2, 1, 3, 3, 1, 0, 3, 0, 2, 3}) {
                Map<String, List<Route>> routes = List.of(one, other, none, Map.<String, List<Route>>of()).get(i);
                assertThat(Networks.difference(routed(net, 0, routes), expected.get(i))).as(name + " " + i).isLessThan(1e-12);
            }
            assertThat(Networks.difference(expected.get(2), base.output(SEQUENCES))).as(name).isLessThan(1e-12);
            for (int i = 0; i < 4; i++) {
                assertThat(Networks.difference(expected.get(i), expected.get((i + 1) % 4))).as(name).isGreaterThan(1e-3);
            }
        });
    }

    /** To make them takes as long as a pass. That they are kept shows when somebody writes to what they are made of. */
    @Test
    void effectiveWeightsAreMadeOnceForTheSameRoutes() {
        MultiLayerNetwork base = base(LAYERS.get("effective weights").clone());
        MultiLayerNetwork net = adapted(base);
        Map<String, List<Route>> routes = routes(net, 0.2);
        INDArray before = routed(net, 0, routes);
        assertThatThrownBy(() -> routed(net, 2, routes)).isInstanceOf(Routing.RowsMismatchException.class);

        routes.values().forEach(some -> some.get(0).a().muli(2));

        assertThat(routed(net, 0, routes)).isEqualTo(before);
        assertThatThrownBy(() -> routed(net, 2, routes)).isInstanceOf(Routing.RowsMismatchException.class);
        net.output(SEQUENCES);
        assertThat(routed(net, 0, routes)).isNotEqualTo(before);
    }

    @Test
    void theReorderedWeightsOfASequenceConvolutionAreKeptWhileRoutesChange() {
        MultiLayerNetwork base = base(LAYERS.get("kernel, W reordered").clone());
        MultiLayerNetwork net = adapted(base);
        Map<String, List<Route>> routes = routes(net, 0.2);
        INDArray before = routed(net, 0, routes);

        base.getParam("0_W").muli(2);

        assertThat(routed(net, 0, routes)).isEqualTo(before);
        adapter(net).switches().setScale("W", 2);
        assertThat(routed(net, 0, routes)).isNotEqualTo(before);
    }
}
