package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

/** An adapted layer that TransferLearning froze is adapted still: its A and B are part of the adapter. */
class FrozenAfterwardsTest {

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterHasTheFrozenLayersToo(Models.Kind kind) {
        assertThat(LoRAAdapter.of(frozen(kind, kind.base())).layers()).containsExactlyInAnyOrderElementsOf(
                LoRAAdapter.of(kind.adapt(kind.base())).layers());
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterTakenOutAndAppliedAgainComputesTheSame(Models.Kind kind, @TempDir Path folder) throws IOException {
        Model base = kind.base();
        Model frozen = frozen(kind, base);

        LoRAAdapter.of(frozen).save(folder);
        Model again = Models.with(base, LoRAAdapter.load(folder));

        assertThat(Models.outputs(again)).containsExactly(Models.outputs(frozen));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterIsAppliedToFrozenLayersToo(Models.Kind kind) {
        Model base = kind.base();
        Model other = kind.adapt(base);
        Models.fitSteps(other, 20, 40);
        Model frozen = frozen(kind, base);

        LoRAAdapter.of(other).applyTo(frozen);

        assertThat(Models.outputs(frozen)).containsExactly(Models.outputs(other));
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adapterOfAnotherAlphaIsAppliedToFrozenLayersAndTakenBack(Models.Kind kind) {
        Model base = kind.base();
        Model other = Models.apply(base, kind.config().alpha(8).build());
        Models.fitSteps(other, 20, 40);
        Model frozen = frozen(kind, base);
        LoRAAdapter before = LoRAAdapter.of(frozen);
        double[] outputs = Models.outputs(frozen);

        LoRAAdapter.of(other).applyTo(frozen);

        assertThat(LoRAAdapter.of(frozen).settings("fc1").alpha()).isEqualTo(8);
        assertThat(Models.outputs(frozen)).containsExactly(Models.outputs(other));
        assertThat(Models.outputs(Models.copy(frozen))).containsExactly(Models.outputs(other));
        before.applyTo(frozen);
        assertThat(Models.outputs(frozen)).containsExactly(outputs);
    }

    @Test
    void anAlphaReachesAFrozenLayerOfSequencesAndItsCopies() {
        MultiLayerNetwork base = lstm();
        INDArray x = Networks.random(DataType.FLOAT, 5, 2, 3, 4);
        MultiLayerNetwork other = LoRA.apply(base, LoRAConfig.builder().allTargets().rank(2).alpha(8).build());
        Networks.randomizeAdapters(other.paramTable(), 7);
        MultiLayerNetwork frozen = new TransferLearning.Builder(LoRA.apply(base, LoRAConfig.builder().allTargets().rank(2)
                .alpha(2).build())).setFeatureExtractor(0).build();

        LoRAAdapter.of(other).applyTo(frozen);

        assertThat(LoRAAdapter.of(frozen).settings("rnn.W").alpha()).isEqualTo(8);
        assertThat(frozen.output(x)).isEqualTo(other.output(x));
        assertThat(frozen.clone().output(x)).isEqualTo(other.output(x));
    }

    @Test
    void aNetworkOnTheSameConfigurationIsNotScaledWithAnother() {
        MultiLayerNetwork base = lstm();
        INDArray x = Networks.random(DataType.FLOAT, 5, 2, 3, 4);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().allTargets().rank(2).alpha(2).build());
        MultiLayerNetwork other = LoRA.apply(base, LoRAConfig.builder().allTargets().rank(2).alpha(8).build());
        MultiLayerNetwork second = new MultiLayerNetwork(tuned.getLayerWiseConfigurations(), tuned.params().dup());
        INDArray before = tuned.output(x);

        assertThat(second.output(x)).isEqualTo(before);
        LoRAAdapter.of(other).applyTo(second);

        assertThat(second.output(x)).isEqualTo(other.output(x));
        assertThatIllegalStateException().isThrownBy(() -> tuned.output(x)).withMessageContaining("\"rnn\"")
                .withMessageContaining("clone()");
    }

    private static MultiLayerNetwork lstm() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().name("rnn").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).name("out").nOut(2).activation(Activation.IDENTITY).build())
                .setInputType(InputType.recurrent(3)).build());
    }

    @Test
    void aDeclaredLayerInAFreezingWrapperStaysFrozenWhenItIsMerged() {
        MultiLayerNetwork network = Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.5)).list()
                .layer(new FrozenLayerWithBackprop(new LoRADenseLayer.Builder().nIn(3).nOut(4).rank(2).build()))
                .layer(new OutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY).build()).build());

        MultiLayerNetwork merged = LoRA.merge(network);
        INDArray w = merged.getParam("0_W").dup();
        merged.fit(Networks.random(DataType.FLOAT, 5, 6, 3), Networks.random(DataType.FLOAT, 6, 6, 2));

        assertThat(merged.getParam("0_W")).isEqualTo(w);
    }

    /** Trained, then with its first layer in a FrozenLayer. */
    private static Model frozen(Models.Kind kind, Model base) {
        Model tuned = kind.adapt(base);
        Models.fitSteps(tuned, 0, 10);
        return tuned instanceof ComputationGraph graph
                ? new TransferLearning.GraphBuilder(graph).setFeatureExtractor("fc1").build()
                : new TransferLearning.Builder((MultiLayerNetwork) tuned).setFeatureExtractor(0).build();
    }
}
