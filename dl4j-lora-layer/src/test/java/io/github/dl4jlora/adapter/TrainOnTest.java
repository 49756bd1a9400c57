package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Nesterovs;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.List;
import java.util.function.Consumer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.tuple;

/** An adapter that is trained on as another configuration says. */
class TrainOnTest {

    private static final INDArray INPUT = Networks.random(DataType.FLOAT, 5, 7, Networks.IN);
    private static final LoRAConfig MADE_WITH = LoRAConfig.builder().rank(2).alpha(3).scaling(Scaling.ALPHA_OVER_RANK)
            .targets("fc.*").trainable("out").override("fc2", o -> o.rank(3)).loraDropout(0.1).build();

    private final ComputationGraph base = Networks.trainedGraph();

    private LoRAAdapter adapter(LoRAConfig config) {
        ComputationGraph tuned = LoRA.apply(base, config);
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        Models.fit(tuned, 4);
        return LoRAAdapter.of(tuned);
    }

    private static LoRADenseLayer fc1(Model network) {
        return (LoRADenseLayer) (network instanceof ComputationGraph graph ? graph.getLayer("fc1")
                : ((MultiLayerNetwork) network).getLayer(0)).conf().getLayer();
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void theAdapterSaysWhatIsAdaptedTheConfigurationHow(Models.Kind kind) {
        Model tuned = Models.apply(kind.base(), MADE_WITH);
        Networks.randomizeAdapters(tuned.paramTable(), 3);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        LoRAConfig config = LoRAConfig.builder().updater(new Nesterovs(0.05)).loraPlusRatio(4).l2(0.01).storage(kind.storage)
                .loraDropout(0.2).copyBase(true).build();

        Model again = kind.graph ? LoRA.apply((ComputationGraph) kind.base(), adapter, config)
                : LoRA.apply((MultiLayerNetwork) kind.base(), adapter, config);

        assertThat(Models.outputs(again)).containsExactly(Models.outputs(tuned));
        assertThat(LoRA.summary(again).rows()).extracting("role", "rank").isEqualTo(
                LoRA.summary(tuned).rows().stream().map(row -> tuple(row.role(), row.rank()))
                        .toList());
        LoRADenseLayer fc1 = fc1(again);
        assertThat(fc1.getIUpdater()).isEqualTo(new Nesterovs(0.05));
        assertThat(fc1.getLora().loraDropout()).isEqualTo(0.2);
        assertThat(fc1.getLora().loraPlusRatio()).isEqualTo(4);
        assertThat(fc1.getRegularization()).hasSize(1);
        assertThat(fc1.getStorage()).isEqualTo(kind.storage);
        Models.fit(again, 5);
        assertThat(Models.outputs(again)).isNotEqualTo(Models.outputs(tuned));
    }

    @Test
    void theAdaptersOwnConfigurationChangedIsTheOtherWayAndGivesTheSame() {
        LoRAAdapter adapter = adapter(MADE_WITH);
        LoRAConfig config = adapter.config().toBuilder().updater(new Sgd(0.3)).weightDecay(0.1).build();
        ComputationGraph one = LoRA.apply(base, adapter, config);
        ComputationGraph other = LoRA.apply(base, config);
        adapter.applyTo(other);

        assertThat(one.outputSingle(INPUT)).isEqualTo(other.outputSingle(INPUT));
        assertThat(Models.topology(one)).isEqualTo(Models.topology(other));
    }

    @Test
    void theConfigurationItWasMadeWithDoesNotContradictIt() {
        LoRAAdapter adapter = adapter(MADE_WITH);

        ComputationGraph again = LoRA.apply(base, adapter, MADE_WITH.toBuilder().updater(new Adam(0.1)).build());

        assertThat(LoRAAdapter.of(again).deltaWeight("fc2")).isEqualTo(adapter.deltaWeight("fc2"));
    }

    @Test
    void biasesMayBeMoreThanTheAdapters() {
        LoRAConfig.Builder plain = LoRAConfig.builder().rank(2).targets("fc1", "fc2");
        LoRAConfig more = LoRAConfig.builder().bias(BiasTraining.ALL).updater(new Sgd(0.1)).build();
        for (BiasTraining bias : BiasTraining.values()) {
            ComputationGraph tuned = LoRA.apply(base, plain.bias(bias).build());
            Networks.randomizeAdapters(tuned.paramTable(), 3);
            Models.fit(tuned, 4);
            LoRAAdapter adapter = LoRAAdapter.of(tuned);

            ComputationGraph again = LoRA.apply(base, adapter, more);
            ComputationGraph same = LoRA.apply(base, adapter, LoRAConfig.builder().updater(new Sgd(0.1)).build());

            assertThat(again.outputSingle(INPUT)).isEqualTo(tuned.outputSingle(INPUT)).isEqualTo(same.outputSingle(INPUT));
            assertThat(same.numParams()).isEqualTo(tuned.numParams());
            Models.fit(again, 5);
            assertThat(LoRAAdapter.of(again).config().bias()).isEqualTo(BiasTraining.ALL);
            assertThat(again.getParam("fc1_b")).isNotEqualTo(base.getParam("fc1_b"));
        }
        assertThatIllegalArgumentException().isThrownBy(() -> adapter(plain.bias(BiasTraining.NONE).build())
                .applyTo(LoRA.apply(base, plain.bias(BiasTraining.LORA_ONLY).build()))).withMessageContaining("\"fc1\"");
    }

    @Test
    void whatContradictsTheAdapterIsRefusedByName() {
        LoRAAdapter adapter = adapter(MADE_WITH);
        refused(adapter, c -> c.rank(4), "rank of layer \"fc1\" is 4, but the adapter's is 2");
        refused(adapter, c -> c.rank(2), "rank of layer \"fc2\" is 2, but the adapter's is 3");
        refused(adapter, c -> c.alpha(16), "alpha of layer \"fc1\" is 16.0, but the adapter's is 3.0");
        refused(adapter, c -> c.scaling(Scaling.ALPHA_OVER_SQRT_RANK), "scaling of layer \"fc1\" is ALPHA_OVER_SQRT_RANK");
        refused(adapter, c -> c.variant(new DoRA()), "variant of layer \"fc1\" is DoRA, but the adapter's is LoRA");
        refused(adapter, c -> c.loraInit(LoRAInit.PISSA), "loraInit of layer \"fc1\" is PISSA, but the adapter's is "
                + "KAIMING_UNIFORM");
        refused(adapter, c -> c.pissaIterations(4), "pissaIterations of layer \"fc1\" is 4");
        refused(adapter, c -> c.targets("fc1").trainable("out"), "adapts [fc1], but the adapter is for [fc1, fc2]");
        refused(adapter, c -> c.exclude("fc1"), "adapts [fc2], but the adapter is for [fc1, fc2]");
        refused(adapter, c -> c.targets("fc.*"), "trains in full [], but the adapter is for [out]");
        refused(adapter, c -> c.targets("x"), "targets(\"x\") matches no layer");
        refused(adapter, c -> c.trainable("out").override("fc2", o -> o.rank(5)), "rank of layer \"fc2\" is 5");
        refused(adapter(LoRAConfig.builder().bias(BiasTraining.ALL).build()), c -> c.bias(BiasTraining.LORA_ONLY),
                "bias is LORA_ONLY, but the adapter's is ALL");

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, adapter, (LoRAConfig) null))
                .withMessageContaining("LoRAConfig is null");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, null, MADE_WITH))
                .withMessageContaining("adapter is null");
    }

    @Test
    void variantsAndStartsAreComparedLayerByLayer() {
        LoRAAdapter plain = adapter(LoRAConfig.builder().rank(2).targets("fc.*").build());
        refused(plain, c -> c.targets("fc.*").override("fc2", o -> o.variant(new DoRA())), "variant of layer \"fc2\" is DoRA");
        LoRAConfig pissa = LoRAConfig.builder().rank(3).alpha(10).scaling(Scaling.ALPHA_OVER_RANK).targets("fc.*")
                .loraInit(LoRAInit.PISSA).pissaIterations(4).build();
        refused(adapter(pissa), c -> c.quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ), "loraInit of layer \"fc1\" is LOFTQ");

        for (LoRAConfig made : List.of(pissa, pissa.toBuilder().override("fc1", o -> o.loraInit(LoRAInit.KAIMING_UNIFORM)
                .pissaIterations(0)).build(), LoRAConfig.builder().rank(2).targets("fc.*").quantize(Quantization.NF4)
                .loraInit(LoRAInit.LOFTQ).pissaIterations(4).build())) {
            LoRAAdapter adapter = adapter(made);
            assertThat(LoRAAdapter.of(LoRA.apply(base, adapter, made)).settings("fc2")).isEqualTo(adapter.settings("fc2"));
        }
    }

    private void refused(LoRAAdapter adapter, Consumer<LoRAConfig.Builder> settings, String message) {
        LoRAConfig.Builder config = LoRAConfig.builder();
        settings.accept(config);
        assertThatIllegalArgumentException().as(message).isThrownBy(() -> LoRA.apply(base, adapter, config.build()))
                .withMessageContaining(message);
    }

    @Test
    void aStartThatWasTakenFromWAndDoraGoOn() {
        for (LoRAConfig.Builder made : new LoRAConfig.Builder[] {LoRAConfig.builder().rank(2).loraInit(LoRAInit.PISSA),
            LoRAConfig.builder().rank(2).variant(new DoRA())}) {
            LoRAAdapter adapter = adapter(made.build());
            ComputationGraph again = LoRA.apply(base, adapter, LoRAConfig.builder().storage(FrozenStorage.EMBEDDED)
                    .engine(Engine.SAMEDIFF).build());

            assertThat(Networks.difference(again.outputSingle(INPUT), LoRA.apply(base, adapter).outputSingle(INPUT)))
                    .isLessThan(1e-6);
        }
    }
}
