package io.github.dl4jlora.layer;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What layers keep between passes follows the values that it was made from. */
@ExtendWith(DoublePrecision.class)
class NothingStaleTest {

    private static MultiLayerNetwork base(Layer first) {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .dataType(DataType.DOUBLE).list().layer(first)
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).nIn(5).nOut(2)
                        .activation(Activation.IDENTITY).build())
                .build());
        base.init();
        return base;
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
}
