package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankConfig;
import io.github.dl4jlora.conf.FrozenStorage;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.NullSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** {@code pack(true)} computes the same from packed copies, which all networks on the base share. */
class PackedBaseTest {

    private static final int WIDTH = 128;
    /** Of one direction of one of three matrices: 128 is a multiple of all blocks. */
    private static final long ONE = (long) WIDTH * WIDTH * Float.BYTES;

    @TempDir
    Path folder;

    @BeforeEach
    void oneDnnIsHere() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        OneDnn.use(OneDnn.Use.ALWAYS);
    }

    @AfterEach
    void computeAsUsual() {
        OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
    }

    private static MultiLayerNetwork base() {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(5).updater(new Adam(1e-3)).list();
        for (int i = 0; i < 3; i++) {
            list.layer(new DenseLayer.Builder().nOut(WIDTH).activation(Activation.TANH).build());
        }
        return Networks.of(list.layer(new OutputLayer.Builder(LossFunction.MSE).nOut(4)
                .activation(Activation.IDENTITY).build()).setInputType(InputType.feedForward(WIDTH)).build());
    }

    private static DataSet data() {
        return new DataSet(Networks.random(DataType.FLOAT, 1, 8, WIDTH), Networks.random(DataType.FLOAT, 2, 8, 4));
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).seed(3L).trainable("layer3");
    }

    private static void assertAlike(INDArray actual, INDArray expected, double tolerance) {
        assertThat(Networks.difference(actual, expected)).isLessThanOrEqualTo(tolerance);
    }

    @ParameterizedTest
    @NullSource
    @EnumSource(Quantization.class)
    void trainsAndComputesAsWithoutPacking(Quantization scheme) {
        MultiLayerNetwork plain = LoRA.apply(base(), config().quantize(scheme).build());
        MultiLayerNetwork packed = LoRA.apply(base(), config().quantize(scheme).pack(true).build());
        assertThat(packed.params()).isEqualTo(plain.params());

        for (int step = 0; step < 5; step++) {
            plain.fit(data());
            packed.fit(data());
        }

        // Where codes are multiplied in bfloat16, another order of sums rounds another way.
        assertAlike(packed.output(data().getFeatures()), plain.output(data().getFeatures()), scheme == null ? 1e-5 : 2e-2);
        assertAlike(LoRA.merge(packed).output(data().getFeatures()), LoRA.merge(plain).output(data().getFeatures()),
                scheme == null ? 1e-5 : 2e-2);
    }

    @Test
    void summaryAndPlanCountTheCopies() {
        MultiLayerNetwork base = base();
        LoRAConfig config = config().pack(true).build();
        long planned = LoRA.plan(base, config, 8).adapted().frozen();
        long without = LoRA.plan(base, config().build(), 8).adapted().frozen();
        MultiLayerNetwork packed = LoRA.apply(base, config);
        LoRASummary before = LoRA.summary(packed);
        assertThat(before.rows().get(0).storedAs()).isEqualTo("FLOAT, packed");
        assertThat(before.frozenBytes()).isEqualTo(LoRA.summary(LoRA.apply(base, config().build())).frozenBytes());

        packed.output(data().getFeatures());
        assertThat(LoRA.summary(packed).frozenBytes()).isEqualTo(before.frozenBytes() + 3 * ONE);
        packed.fit(data());

        // The first layer's input needs no gradient.
        assertThat(LoRA.summary(packed).frozenBytes()).isEqualTo(before.frozenBytes() + 5 * ONE);
        assertThat(planned - without).isEqualTo(5 * ONE);
    }

    @Test
    void networksOnOneBaseShareTheCopies() {
        MultiLayerNetwork base = base();
        MultiLayerNetwork first = LoRA.apply(base, config().pack(true).build());
        MultiLayerNetwork second = LoRA.apply(base, config().rank(3).pack(true).build());
        first.output(data().getFeatures());

        long bytes = LoRA.summary(second).frozenBytes();

        second.output(data().getFeatures());
        assertThat(LoRA.summary(second).frozenBytes()).isEqualTo(bytes).isEqualTo(LoRA.summary(first).frozenBytes());
    }

    @Test
    void noCopyIsMadeOfABaseThatHasChanged() {
        MultiLayerNetwork base = base();
        INDArray values = base.params().dup();
        INDArray expected = base.output(data().getFeatures()).dup();
        MultiLayerNetwork packed = LoRA.apply(base, config().pack(true).build());
        base.params().muli(0.5);

        INDArray changed = packed.output(data().getFeatures()).dup();
        base.params().assign(values);

        MultiLayerNetwork another = LoRA.apply(base, config().pack(true).build());
        assertAlike(another.output(data().getFeatures()), expected, 1e-5);
        assertAlike(packed.output(data().getFeatures()), expected, 1e-5);
        assertThat(changed).isNotEqualTo(expected);
    }

    @Test
    void clonesAndCheckpointsStayPacked() throws Exception {
        MultiLayerNetwork packed = LoRA.apply(base(), config().pack(true).build());

        LoRA.save(packed, folder.resolve("packed.zip"), true);

        assertThat(LoRA.summary(packed.clone()).rows().get(0).storedAs()).isEqualTo("FLOAT, packed");
        assertThat(LoRA.summary(LoRA.load(folder.resolve("packed.zip"))).rows().get(0).storedAs()).isEqualTo("FLOAT, packed");
        MultiLayerNetwork plain = LoRA.apply(base(), config().build());
        assertThat(plain.getLayerWiseConfigurations().toJson()).doesNotContain("packed");
    }

    @ParameterizedTest
    @NullSource
    @EnumSource(value = Quantization.class, names = {"BF16", "INT8"})
    void frozenAndMappedNetworksArePacked(Quantization scheme) throws Exception {
        LoRA.writeBase(base(), folder.resolve("base.dl4j"), scheme);
        Model mapped = LoRA.openBase(folder.resolve("base.dl4j"));
        MultiLayerNetwork frozen = LoRA.freeze(base());
        INDArray expected = ((MultiLayerNetwork) mapped).output(data().getFeatures()).dup();

        LoRA.pack(mapped);
        LoRA.pack(frozen);

        assertAlike(((MultiLayerNetwork) mapped).output(data().getFeatures()), expected, scheme == null ? 1e-5 : 2e-2);
        assertAlike(frozen.output(data().getFeatures()), base().output(data().getFeatures()), 1e-5);
        assertThat(LoRA.summary(frozen).rows().get(0).bytes()).isEqualTo(2 * ONE + WIDTH * Float.BYTES);
        assertThat(LoRA.summary(mapped).rows().get(0).storedAs()).endsWith(", packed");
    }

    @Test
    void whatIsMadeOfAPackedNetworkIsPacked() throws Exception {
        MultiLayerNetwork frozen = LoRA.freeze(base());
        LoRA.pack(frozen);
        LoRA.writeBase(frozen, folder.resolve("base.dl4j"), null);

        for (Model made : List.of(LoRA.freeze(frozen), LoRA.apply(frozen, config().build()),
                LoRA.openBase(folder.resolve("base.dl4j")))) {
            assertThat(LoRA.summary(made).rows().get(0).storedAs()).isEqualTo("FLOAT, packed");
        }
        LoRAConfig config = config().build();
        assertThat(LoRA.plan(frozen, config, 8).adapted().frozen() - LoRA.plan(base(), config, 8).adapted().frozen())
                .isEqualTo(5 * ONE);
    }

    @Test
    void aPlanLeavesTheNetworkAsItIs() {
        MultiLayerNetwork frozen = LoRA.freeze(base());

        LoRA.plan(frozen, config().pack(true).build(), 8);

        assertThat(LoRA.summary(frozen).rows().get(0).storedAs()).isEqualTo("FLOAT");
    }

    /** Networks on one base share the copies, so another network tells of those of the bank's. */
    @Test
    void aBanksAdaptersAreComputedOnPackedCopies() {
        MultiLayerNetwork base = base();
        MultiLayerNetwork another = LoRA.apply(base, config().pack(true).build());
        long without = LoRA.summary(another).frozenBytes();
        LoRAConfig plain = LoRAConfig.builder().rank(2).build();
        try (AdapterBank bank = new AdapterBank(base, BankConfig.builder().pack(true).build())) {
            bank.add("a", LoRAAdapter.of(LoRA.apply(base, plain)));

            bank.output("a", data().getFeatures());

            assertThat(LoRA.summary(another).frozenBytes()).isEqualTo(without + 3 * ONE);
        }
    }

    @Test
    void whatCannotBePackedIsRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.pack(base()))
                .withMessageContaining("no frozen weights outside its parameter vector");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRAConfig.builder().pack(true).storage(FrozenStorage.EMBEDDED)
                .build()).withMessageContaining("pack(true)").withMessageContaining("EMBEDDED");
    }

    @Test
    void idsAreThoseOfTheValues() {
        MultiLayerNetwork base = base();
        MultiLayerNetwork packed = LoRA.apply(base, config().pack(true).build());
        packed.fit(data());
        packed.fit(data());

        LoRA.attach(packed, base.clone());

        assertAlike(packed.output(data().getFeatures()), LoRA.merge(packed).output(data().getFeatures()), 1e-5);
        assertThat(LoRA.unload(packed).params()).isNotEqualTo(Nd4j.zerosLike(base.params()));
    }
}
