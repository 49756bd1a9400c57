package io.github.dl4jlora.variant;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.gradientcheck.GradientCheckUtil;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.NoOp;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Finite differences agree with every gradient; DoRA's, whose norm is a constant to it, agrees with the algebra. */
@ExtendWith(DoublePrecision.class)
@Tag("heavy")
class VariantGradientsTest {

    static Stream<Variants> differentiable() {
        return Arrays.stream(Variants.values()).filter(variant -> variant != Variants.LORA_PLUS && !variant.isDora());
    }

    /** A plain layer, one with layer normalisation, one without bias, and an output layer. */
    private static MultiLayerNetwork base() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(3).dataType(DataType.DOUBLE)
                .updater(new NoOp()).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Networks.IN).nOut(4).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(4).hasLayerNorm(true).build())
                .layer(new DenseLayer.Builder().name("fc3").nOut(4).hasBias(false).activation(Activation.ELU).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(Networks.OUT)
                        .activation(Activation.SOFTMAX).build())
                .build());
    }

    /** Finite differences agree with one engine and storage, and the others with that one. */
    @ParameterizedTest
    @MethodSource("differentiable")
    void gradientsAreThoseOfFiniteDifferences(Variants variant) {
        MultiLayerNetwork right = disturbed(variant, FrozenStorage.SHARED, Engine.FUSED);
        DataSet data = Networks.data(DataType.DOUBLE, 4, 1);

        assertThat(right.paramTable().keySet()).isNotEmpty().allMatch(name -> trains(right, name));
        assertThat(GradientCheckUtil.checkGradients(new GradientCheckUtil.MLNConfig().net(right).epsilon(1e-6).maxRelError(1e-5)
                .minAbsoluteError(1e-9).input(data.getFeatures()).labels(data.getLabels()))).isTrue();
        MultiDataSet whole = new MultiDataSet(data.getFeatures(), data.getLabels());
        for (FrozenStorage storage : FrozenStorage.values()) {
            for (Engine engine : List.of(Engine.FUSED, Engine.SAMEDIFF)) {
                MultiLayerNetwork network = disturbed(variant, storage, engine);
                assertThat(network.paramTable().keySet().stream().filter(name -> trains(network, name)))
                        .containsExactlyInAnyOrderElementsOf(right.paramTable().keySet());
                Gradients.assertSame(network, right, whole, 1e-10);
                assertThat(network.score()).isCloseTo(right.score(), within(1e-12));
            }
        }
    }

    private static MultiLayerNetwork disturbed(Variants variant, FrozenStorage storage, Engine engine) {
        return Variants.disturb(LoRA.apply(base(), variant.config().storage(storage).engine(engine).targets(".*").build()));
    }

    private static boolean trains(MultiLayerNetwork network, String name) {
        return ((LoRADenseLayer) network.getLayer(Integer.parseInt(name.substring(0, 1))).conf().getLayer())
                .trains(name.substring(2));
    }

    /** x → fc1, with DoRA, tanh → out, softmax, written out; the norm of V a number. */
    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void dorasGradientsAreThoseOfTheAlgebra(Engine engine) {
        for (FrozenStorage storage : FrozenStorage.values()) {
            for (LoRAInit init : new LoRAInit[] {LoRAInit.KAIMING_UNIFORM, LoRAInit.PISSA}) {
                ComputationGraph stock = Networks.trainedGraph(DataType.DOUBLE);
                ComputationGraph dora = Variants.disturb(LoRA.apply(stock, LoRAConfig.builder().rank(2).alpha(0.7).targets("fc2")
                        .trainable("fc1").loraInit(init).variant(new DoRA()).engine(engine).storage(storage).build()));
                DataSet data = Networks.data(DataType.DOUBLE, 8, 1);

                Map<String, INDArray> found = Gradients.of(dora, new MultiDataSet(data.getFeatures(), data.getLabels()));

                expected(stock, dora, init, data).forEach((name, gradient) ->
                        assertThat(Networks.difference(found.get(name), gradient)).as(name).isLessThan(1e-12));
            }
        }
    }

    private static Map<String, INDArray> expected(ComputationGraph stock, ComputationGraph dora, LoRAInit init, DataSet data) {
        double s = 0.7;
        INDArray a = dora.getParam("fc2_A");
        INDArray b = dora.getParam("fc2_B");
        INDArray m = dora.getParam("fc2_m");
        INDArray w1 = dora.getParam("fc1_W");
        INDArray w = stock.getParam("fc2_W");
        if (init.isTakenFromW()) {
            ComputationGraph fresh = LoRA.apply(stock, LoRAConfig.builder().rank(2).alpha(s).targets("fc2")
                    .loraInit(init).build());
            w = w.sub(fresh.getParam("fc2_A").mmul(fresh.getParam("fc2_B")).mul(s));
        }
        INDArray w3 = stock.getParam("out_W");

        INDArray h1 = Transforms.tanh(data.getFeatures().mmul(w1).addRowVector(dora.getParam("fc1_b")));
        INDArray v = w.add(a.mmul(b).mul(s));
        INDArray norms = Transforms.sqrt(v.mul(v).sum(true, 0));
        INDArray c = m.div(norms);
        INDArray direction = h1.mmul(v);
        INDArray h2 = Transforms.tanh(direction.mulRowVector(c).addRowVector(stock.getParam("fc2_b")));
        INDArray p = Transforms.softmax(h2.mmul(w3).addRowVector(stock.getParam("out_b")));

        INDArray dz2 = p.sub(data.getLabels()).mmul(w3.transpose()).mul(h2.mul(h2).rsub(1));
        INDArray dDirection = dz2.mulRowVector(c);
        INDArray dz1 = dDirection.mmul(v.transpose()).mul(h1.mul(h1).rsub(1));
        return Map.of(
                "fc2_A", h1.transpose().mmul(dDirection).mmul(b.transpose()).mul(s),
                "fc2_B", a.transpose().mmul(h1.transpose()).mmul(dDirection).mul(s),
                "fc2_m", dz2.mul(direction).sum(true, 0).div(norms),
                "fc1_W", data.getFeatures().transpose().mmul(dz1),
                "fc1_b", dz1.sum(true, 0));
    }

    @ParameterizedTest
    @EnumSource(Variants.class)
    void enginesAgreeUnderDropout(Variants variant) {
        DataSet data = Networks.data(DataType.DOUBLE, 8, 1);
        Map<String, INDArray> expected = null;
        for (Engine engine : List.of(Engine.FUSED, Engine.SAMEDIFF)) {
            ComputationGraph network = Variants.disturb(LoRA.apply(Networks.trainedGraph(DataType.DOUBLE),
                    variant.config().targets("fc2").trainable("fc1").engine(engine).loraDropout(0.5).build()));
            Nd4j.getRandom().setSeed(5);
            Map<String, INDArray> found = Gradients.of(network, new MultiDataSet(data.getFeatures(), data.getLabels()));
            if (expected != null) {
                for (String name : expected.keySet()) {
                    assertThat(Networks.difference(found.get(name), expected.get(name))).as(name).isLessThan(1e-12);
                }
            }
            expected = found;
        }
    }
}
