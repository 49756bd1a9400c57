package io.github.dl4jlora.layer;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.Variants;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Sgd;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

import static org.assertj.core.api.Assertions.assertThat;

/** The norms that a serving DoRA layer keeps are those of what it has now, whatever was done to it, and by whom. */
class NormsWhileServingTest {

    private static final Map<String, Consumer<MultiLayerNetwork>> CHANGES = new LinkedHashMap<>();

    static {
        CHANGES.put("setParams", net -> net.setParams(net.params().mul(1.5)));
        CHANGES.put("setParam of B", net -> net.setParam("0_W.B", net.getParam("0_W.B").add(0.5)));
        CHANGES.put("setParam of m", net -> net.setParam("0_W.m", net.getParam("0_W.m").mul(2)));
        CHANGES.put("a write into the vector", net -> net.params().addi(0.25));
        CHANGES.put("one value of the vector", net -> net.params().putScalar(0, 7));
        CHANGES.put("a write into a view of A", net -> net.getParam("0_W.A").muli(-2));
        CHANGES.put("a write into a view of m", net -> net.getLayer(0).getParam("W.m").addi(1));
        CHANGES.put("another adapter", net -> {
            MultiLayerNetwork other = net.clone();
            List.of("A", "B", "m").forEach(part -> other.getParam("0_W." + part).muli(-0.5));
            LoRAAdapter.of(other).applyTo(net);
        });
        CHANGES.put("another alpha", net -> ((KernelRuntime) net.getLayer(0)).adapter()
                .rescale("W", 3, Scaling.ALPHA_OVER_RANK));
    }

    private static MultiLayerNetwork adapted(KernelVariant variant, FrozenStorage storage) {
        MultiLayerNetwork base = variant.base(DataType.DOUBLE, Activation.TANH);
        MultiLayerNetwork net = LoRA.apply(base, LoRAConfig.builder().rank(2).alpha(0.7).targets("kernel.").variant(new DoRA())
                .storage(storage).updater(new Sgd(0.1)).build());
        Networks.randomizeAdapters(net.paramTable(), 3);
        return net;
    }

    /** A layer that has just been made has kept nothing. */
    private static void assertFollows(MultiLayerNetwork net, INDArray features, String change, double[] before) {
        double[] now = Models.values(net.output(features));
        assertThat(now).as(change).isNotEqualTo(before).isEqualTo(Models.values(net.clone().output(features)));
        assertThat(Networks.difference(LoRA.merge(net).output(features), net.output(features))).as(change).isLessThan(1e-12);
    }

    @ParameterizedTest
    @EnumSource(names = {"IMAGES_SAME", "SEQUENCES_TRUNCATED", "VOLUMES_TRUNCATED", "WORDS", "SEQUENCES_OF_WORDS"})
    void kernelsFollowEveryChange(KernelVariant variant) {
        INDArray features = variant.features(DataType.DOUBLE);
        for (FrozenStorage storage : FrozenStorage.values()) {
            MultiLayerNetwork net = adapted(variant, storage);
            CHANGES.forEach((change, action) -> {
                double[] before = Models.values(net.output(features));
                action.accept(net);
                assertFollows(net, features, storage + ": " + change, before);
            });
            double[] before = Models.values(net.output(features));
            net.fit(variant.data(net));
            assertFollows(net, features, storage + ": fit", before);
        }
    }

    @Test
    void embeddedWeightsThatChangeInTheVectorAreFollowedToo() {
        KernelVariant variant = KernelVariant.IMAGES_SAME;
        INDArray features = variant.features(DataType.DOUBLE);
        MultiLayerNetwork net = adapted(variant, FrozenStorage.EMBEDDED);
        double[] before = Models.values(net.output(features));

        net.getParam("0_W").muli(3).addi(0.1);

        assertFollows(net, features, "W", before);
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void denseLayersFollowToo(Engine engine) {
        INDArray input = Networks.random(DataType.DOUBLE, 1, 4, Networks.IN);
        ComputationGraph base = Networks.trainedGraph(DataType.DOUBLE);
        for (Variants variant : new Variants[] {Variants.DORA, Variants.DORA_PISSA_BIAS}) {
            ComputationGraph net = Variants.disturb(LoRA.apply(base, variant.config().engine(engine).build()));
            LoRAAdapter other = LoRAAdapter.of(Variants.disturb(LoRA.apply(base, variant.config().alpha(9).seed(8).build())));
            Map<String, Runnable> changes = new LinkedHashMap<>();
            changes.put("vector", () -> net.params().muli(1.5));
            changes.put("B", () -> net.getParam("fc1_B").putScalar(0, 9));
            changes.put("m", () -> net.setParam("fc2_m", net.getParam("fc2_m").add(1)));
            changes.put("an adapter of another factor", () -> other.applyTo(net));
            changes.put("fit", () -> net.fit(Networks.data(DataType.DOUBLE, 4, 5)));
            changes.forEach((change, action) -> {
                double[] before = Models.values(net.outputSingle(input));
                action.run();
                double[] now = Models.values(net.outputSingle(input));
                assertThat(now).as(change).isNotEqualTo(before).isEqualTo(Models.values(net.clone().outputSingle(input)));
                assertThat(Networks.difference(LoRA.merge(net).outputSingle(input), net.outputSingle(input))).isLessThan(1e-12);
            });
        }
    }

    @Test
    void aCloneKeepsNormsOfItsOwn() {
        KernelVariant variant = KernelVariant.IMAGES_SAME;
        INDArray features = variant.features(DataType.DOUBLE);
        MultiLayerNetwork net = adapted(variant, FrozenStorage.SHARED);
        double[] before = Models.values(net.output(features));
        MultiLayerNetwork clone = net.clone();
        clone.output(features);

        clone.params().muli(2);

        assertFollows(clone, features, "the clone's vector", before);
        assertThat(Models.values(net.output(features))).isEqualTo(before);
    }

    /** What is kept is kept for something: a state lasts until something changes. */
    @Test
    void aStateLastsWhileNothingChanges() {
        KernelVariant variant = KernelVariant.IMAGES_SAME;
        INDArray features = variant.features(DataType.DOUBLE);
        MultiLayerNetwork net = adapted(variant, FrozenStorage.SHARED);
        KernelRuntime layer = (KernelRuntime) net.getLayer(0);
        net.output(features);
        Object state = layer.state();
        double[] output = Models.values(net.output(features));

        net.score(variant.data(net));
        assertThat(layer.state()).isNotNull().isSameAs(state);
        assertThat(Models.values(net.output(features))).isEqualTo(output);

        net.getParam("0_W.m").putScalar(0, 0.5);
        assertThat(layer.state()).isNotNull().isNotSameAs(state);
        Object beforeAlpha = layer.state();
        layer.adapter().rescale("W", 3, Scaling.ALPHA_OVER_RANK);
        assertThat(layer.state()).isNotNull().isNotSameAs(beforeAlpha);
        assertThat(((KernelRuntime) adapted(variant, FrozenStorage.EMBEDDED).getLayer(0)).state()).isNull();
    }

    /** Inside, the layer is the base's; after it, what it was before. */
    @Test
    void aDisabledScopeLeavesThemAsTheyAre() {
        KernelVariant variant = KernelVariant.SEQUENCES_TRUNCATED;
        INDArray features = variant.features(DataType.DOUBLE);
        MultiLayerNetwork net = adapted(variant, FrozenStorage.SHARED);
        double[] before = Models.values(net.output(features));
        try (LoRA.Scope scope = LoRA.disabled(net)) {
            assertThat(Models.values(net.output(features))).isNotEqualTo(before);
        }
        assertThat(Models.values(net.output(features))).isEqualTo(before);
    }
}
