package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** What a swap accepts, and what it refuses before the network has changed. */
class SwapTest {

    /** More than HALF can hold. */
    private static final double LARGE = 70000;

    private final ComputationGraph base = Networks.trainedGraph();
    private final ComputationGraph half = base.convertDataType(DataType.HALF);

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).targets("fc1");
    }

    /** Of fc1, for any base. */
    private static Delta delta(Map<String, INDArray> more) {
        return new Delta(Networks.random(DataType.FLOAT, 1, Networks.IN, 2),
                Networks.random(DataType.FLOAT, 2, 2, Networks.HIDDEN), 1, Scaling.ALPHA, null, TensorLayout.LINEAR, more,
                Kind.PLAIN, null);
    }

    private static AdapterContent content(Delta delta) {
        return new AdapterContent(Map.of("fc1", delta), Map.of(), Biases.NONE, 0);
    }

    private static INDArray largeAt(int position, long... shape) {
        INDArray array = Nd4j.zeros(DataType.FLOAT, shape);
        array.putScalar(position, LARGE);
        return array;
    }

    private static AdapterContent withLargeOut(int position) {
        Map<String, INDArray> out = Map.of("weight", largeAt(position, Networks.OUT, Networks.HIDDEN),
                "bias", Nd4j.zeros(DataType.FLOAT, Networks.OUT));
        return new AdapterContent(Map.of("fc1", delta(Map.of())), Map.of("out", out), Biases.NONE, 0);
    }

    private static AdapterContent withBiases(INDArray ofFc2, INDArray ofOut) {
        Delta delta = delta(Map.of(DefaultParamInitializer.BIAS_KEY, Nd4j.zeros(DataType.FLOAT, 1, Networks.HIDDEN)));
        return new AdapterContent(Map.of("fc1", delta), Map.of(),
                new Biases(Map.of("fc2", ofFc2, "out", ofOut), BiasTraining.ALL), 0);
    }

    private static void refused(ComputationGraph network, AdapterContent content, String... parts) {
        INDArray before = network.params().dup();

        assertThatIllegalArgumentException().isThrownBy(() -> Swap.into(network, content, false, false, false))
                .withMessageContainingAll(parts);
        assertThat(network.params()).isEqualTo(before);
    }

    @Test
    void aValueOutOfRangeIsRefusedInTheFirstPlaceAsInTheLast() {
        ComputationGraph tuned = LoRA.apply(half, config().trainable("out").build());
        for (int position : new int[] {0, Networks.OUT * Networks.HIDDEN - 1}) {
            refused(tuned, withLargeOut(position), "\"out\"", "has 70000.0 at position ", "HALF");
        }
        refused(LoRA.apply(half, config().bias("all").build()),
                withBiases(largeAt(0, 1, Networks.HIDDEN), Nd4j.zeros(DataType.FLOAT, 1, Networks.OUT)), "\"fc2\"",
                "bias of type FLOAT has 70000.0 at position 0");
    }

    /** A network that computes an adapter by routes finds out when the adapter is added, not when somebody asks for it. */
    @Test
    void anAdapterThatIsToBeRoutedIsCheckedInAllItsValues() {
        Delta large = new Delta(largeAt(0, Networks.IN, 2), Nd4j.zeros(DataType.FLOAT, 2, Networks.HIDDEN), 1,
                Scaling.ALPHA, null);
        AdaptedView plain = AdaptedView.of(LoRA.apply(half, config().build()));
        AdaptedView withHead = AdaptedView.of(LoRA.apply(half, config().trainable("out").build()));
        AdaptedView withBiases = AdaptedView.of(LoRA.apply(half, config().bias("all").build()));

        assertThatIllegalArgumentException().isThrownBy(() -> Swap.fitting(content(large), plain, Map.of()))
                .withMessageContainingAll("\"fc1\"", "A of type FLOAT has 70000.0 at position 0");
        assertThatIllegalArgumentException().isThrownBy(() -> Swap.fitting(withLargeOut(0), withHead, Map.of()))
                .withMessageContainingAll("\"out\"", "has 70000.0 at position 0");
        assertThatIllegalArgumentException().isThrownBy(() -> Swap.fitting(withBiases(largeAt(4, 1, Networks.HIDDEN),
                Nd4j.zeros(DataType.FLOAT, 1, Networks.OUT)), withBiases, Map.of()))
                .withMessageContainingAll("\"fc2\"", "has 70000.0 at position 4");
        assertThat(Swap.fitting(content(delta(Map.of())), plain, Map.of()).layers()).containsExactly("fc1");
    }

    @Test
    void aBiasOfAnotherLengthIsRefusedByItsName() {
        refused(LoRA.apply(base, config().bias("all").build()),
                withBiases(Nd4j.zeros(DataType.FLOAT, 1, Networks.HIDDEN + 2), Nd4j.zeros(DataType.FLOAT, 1, Networks.OUT)),
                "\"fc2\": the adapter's bias has shape [1, 7], but the network's has [1, 5]");
    }

    /** Whatever the size of the weights: stored in 16 bits they differ by less than one part in a hundred. */
    @Test
    void baseWeightsInTheFileMayDifferFromTheNetworksByOnePercent() {
        for (double size : new double[] {100, 1, 0.0625}) {
            INDArray weights = base.getParam("fc1_W").assign(0);
            weights.putScalar(7, size);
            ComputationGraph tuned = LoRA.apply(base, config().build());

            for (double share : new double[] {1, 0.9925, 1.0075}) {
                Swap.into(tuned, content(delta(Map.of(Delta.BASE_WEIGHT, weights.mul(share)))), false, false, false);
            }
            for (double share : new double[] {0.98, 1.02}) {
                refused(tuned, content(delta(Map.of(Delta.BASE_WEIGHT, weights.mul(share)))),
                        "\"fc1\": the adapter comes with its own base weights");
            }
            if (size == 100) {
                // The share is exact here: that much is rounding still.
                Swap.into(tuned, content(delta(Map.of(Delta.BASE_WEIGHT, weights.mul(1.01)))), false, false, false);
            }
        }
    }

    @Test
    void whatIsAddedToABiasNeedsALayerThatHasOne() {
        MultiLayerNetwork bare = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Networks.IN).nOut(Networks.HIDDEN).hasBias(false).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nIn(Networks.HIDDEN).nOut(2).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(bare, config().build());
        Delta adding = delta(Map.of(Delta.LORA_BIAS, Nd4j.zeros(DataType.FLOAT, 1, Networks.HIDDEN)));

        assertThatIllegalArgumentException().isThrownBy(() -> Swap.into(tuned, content(adding), false, false, false))
                .withMessageContainingAll("\"fc1\"", "adds a lora_bias", "hasBias(true)");
    }
}
