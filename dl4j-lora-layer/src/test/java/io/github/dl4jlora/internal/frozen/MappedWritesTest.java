package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import stranger.WritingLayer;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Whoever writes to a mapped base gets an exception. Without it the JVM would end, and this test with it. */
class MappedWritesTest {

    private static final INDArray X = Networks.random(DataType.FLOAT, 7, 3, 4);

    @TempDir
    private Path folder;

    private static MultiLayerNetwork base() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).list()
                .layer(new DenseLayer.Builder().nOut(5).name("first").activation(Activation.TANH).build())
                .layer(new WritingLayer(5, 4, "strange"))
                .layer(new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).name("out").build())
                .setInputType(InputType.feedForward(4)).build());
    }

    private MultiLayerNetwork opened(MultiLayerNetwork base) throws IOException {
        Path file = folder.resolve("base");
        LoRA.writeBase(base, file, null);
        return LoRA.openMultiLayerNetworkBase(file);
    }

    @Test
    void aLayerThatNobodyKnowsStandsOnACopy() throws IOException {
        MultiLayerNetwork base = base();
        MultiLayerNetwork opened = opened(base);
        assertThat(opened.output(X)).isEqualTo(base.output(X));

        MultiLayerNetwork tuned = LoRA.apply(opened, LoRAConfig.builder().rank(2).targets("first").build());
        tuned.fit(X, Networks.random(DataType.FLOAT, 8, 3, 2));

        assertThat(LoRA.unload(tuned).params()).isEqualTo(base.params());
    }

    @Test
    void aLayerThatNobodyKnowsTrainsInFullOrIsEmbedded() throws IOException {
        MultiLayerNetwork base = base();
        LoRAConfig.Builder config = LoRAConfig.builder().rank(2).targets("first");

        MultiLayerNetwork embedded = LoRA.apply(opened(base), config.storage(FrozenStorage.EMBEDDED).build());
        MultiLayerNetwork tuned = LoRA.apply(opened(base), config.storage(FrozenStorage.SHARED).trainable("strange").build());

        assertThat(tuned.output(X)).isEqualTo(embedded.output(X)).isEqualTo(base.output(X));
    }

    @Test
    void whatALayerThatNobodyKnowsWritesIsToldInTraining() throws IOException {
        MultiLayerNetwork tuned = LoRA.apply(opened(base()), LoRAConfig.builder().rank(2).targets("first").build());
        Layer strange = ((BaseWrapperLayer) tuned.getLayer(1)).getUnderlying();
        strange.getParam("W").addi(1);

        assertThatThrownBy(() -> tuned.fit(X, Networks.random(DataType.FLOAT, 8, 3, 2)))
                .isInstanceOf(IllegalStateException.class).hasMessageContaining("\"strange\"")
                .hasMessageContaining("the base's weights have changed");
    }

    @Test
    void newParametersAreRefusedByName() throws IOException {
        MultiLayerNetwork opened = opened(base());
        for (int i = 0; i < 3; i++) {
            Layer layer = opened.getLayer(i);
            String name = "\"" + base().getLayer(i).conf().getLayer().getLayerName() + "\"";
            INDArray w = base().getLayer(i).getParam("W");
            assertThatThrownBy(() -> layer.setParam("W", w)).hasMessageContaining(name);
            assertThatThrownBy(() -> layer.setParams(base().params())).hasMessageContaining(name);
            assertThatThrownBy(() -> layer.setParamTable(Map.of("W", w))).hasMessageContaining(name);
            assertThatThrownBy(layer::fit).hasMessageContaining(name);
            assertThatThrownBy(() -> layer.fit(X, LayerWorkspaceMgr.noWorkspaces())).hasMessageContaining(name);
        }
        assertThatThrownBy(() -> opened.setParams(base().params())).isInstanceOf(IllegalArgumentException.class);
        assertThat(opened.output(X)).isEqualTo(base().output(X));
    }
}
