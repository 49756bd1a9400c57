package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** Adapters of convolutions and embeddings: PEFT's names and shapes, and everything else that adapters can do. */
@Tag("heavy")
class KernelAdaptersTest {

    private static final String MAGNITUDE = "base_model.model.kernel1.lora_magnitude_vector";

    @TempDir
    private Path folder;

    @ParameterizedTest
    @EnumSource
    void filesHavePeftsNamesAndShapesAndComeBackBitForBit(KernelAdapters kind) throws Exception {
        MultiLayerNetwork base = kind.base();
        MultiLayerNetwork tuned = kind.adapted(base);

        LoRAAdapter.of(tuned).save(folder);

        AdapterFiles.Tensors tensors = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));
        long[] shapeOfB = new long[kind.fileShapeOfA.length];
        Arrays.fill(shapeOfB, 1);
        shapeOfB[0] = 5;
        shapeOfB[1] = 3;
        String prefix = "base_model.model.kernel1.";
        boolean embedding = kind == KernelAdapters.EMBEDDING;
        assertThat(tensors.names()).containsExactlyInAnyOrder(prefix + (embedding ? "lora_embedding_A" : "lora_A.weight"),
                prefix + (embedding ? "lora_embedding_B" : "lora_B.weight"));
        assertThat(tensors.shape(prefix + (embedding ? "lora_embedding_A" : "lora_A.weight"))).isEqualTo(kind.fileShapeOfA);
        assertThat(tensors.shape(prefix + (embedding ? "lora_embedding_B" : "lora_B.weight"))).isEqualTo(shapeOfB);
        MultiLayerNetwork again = LoRA.apply(base, LoRAAdapter.load(folder));
        assertThat(again.params().toDoubleVector()).isEqualTo(tuned.params().toDoubleVector());
        assertThat(again.output(kind.input())).isEqualTo(tuned.output(kind.input()));
    }

    /** PEFT saves {@code lora_magnitude_vector.default.weight} without its end; a convolution's has the rank of its weights. */
    @ParameterizedTest
    @EnumSource
    void magnitudesHavePeftsNameAndShapeAndComeBackBitForBit(KernelAdapters kind) throws Exception {
        MultiLayerNetwork base = kind.base();
        MultiLayerNetwork tuned = kind.adapted(base, new DoRA());

        LoRAAdapter.of(tuned).save(folder);

        AdapterFiles.Tensors tensors = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));
        long[] shape = new long[kind.fileShapeOfA.length];
        Arrays.fill(shape, 1);
        shape[1] = 5;
        assertThat(tensors.names()).hasSize(3).contains(MAGNITUDE);
        assertThat(tensors.shape(MAGNITUDE)).isEqualTo(kind == KernelAdapters.EMBEDDING ? new long[] {5} : shape);
        MultiLayerNetwork again = LoRA.apply(base, LoRAAdapter.load(folder));
        assertThat(again.params().toDoubleVector()).isEqualTo(tuned.params().toDoubleVector());
        MultiLayerNetwork swapped = kind.adapted(base, new DoRA());
        swapped.params().muli(0.5);
        LoRAAdapter.load(folder).applyTo(swapped);
        assertThat(swapped.output(kind.input())).isEqualTo(tuned.output(kind.input()));
        assertThatThrownBy(() -> LoRAAdapter.load(folder).applyTo(kind.adapted(base)))
                .hasMessageContaining("Layer \"kernel1\": the adapter consists of [A, B, m]");
    }

    @ParameterizedTest
    @CsvSource({"1;5;2;1", "5;1;1;1", "5;1", "1;4;1;1"})
    void magnitudesOfAnotherShapeAreRefused(String dimensions) throws Exception {
        KernelAdapters kind = KernelAdapters.CONV2D;
        MultiLayerNetwork base = kind.base();
        LoRAAdapter.of(kind.adapted(base, new DoRA())).save(folder);
        Path file = folder.resolve("adapter_model.safetensors");
        Map<String, INDArray> tensors = new LinkedHashMap<>(AdapterFiles.open(file).values());
        tensors.put(MAGNITUDE, Nd4j.ones(DataType.DOUBLE, Arrays.stream(dimensions.split(";")).mapToLong(Long::parseLong)
                .toArray()));
        AdapterFiles.write(file, tensors, Map.of());

        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).satisfies(refusal ->
                assertThat(refusal instanceof AdapterFormatException || refusal instanceof IllegalArgumentException).isTrue())
                .hasMessageContaining("kernel1");
    }

    @ParameterizedTest
    @EnumSource
    void deltaWeightIsWhatAMergeAdds(KernelAdapters kind) {
        MultiLayerNetwork base = kind.base();
        MultiLayerNetwork tuned = kind.adapted(base);

        INDArray added = kind.torchWeight(LoRA.merge(tuned)).sub(kind.torchWeight(base));
        INDArray delta = LoRAAdapter.of(tuned).deltaWeight("kernel1");

        assertThat(delta.shape()).isEqualTo(added.shape());
        assertThat(Networks.difference(delta, added)).isLessThan(1e-14);
        assertThat(LoRAAdapter.of(tuned).norm("kernel1")).isCloseTo(delta.norm2Number().doubleValue(),
                within(1e-10));
    }

    @ParameterizedTest
    @EnumSource
    void combinedAndCompressedAdaptersStayWhatTheyAre(KernelAdapters kind) throws Exception {
        MultiLayerNetwork base = kind.base();
        LoRAAdapter adapter = LoRAAdapter.of(kind.adapted(base));

        LoRAAdapter doubled = LoRAAdapter.combine(Combination.Method.CAT).add(adapter, 0.5).add(adapter, 0.5).build();
        LoRAAdapter back = doubled.compress(3).adapter();
        back.save(folder);

        INDArray expected = LoRA.apply(base, adapter).output(kind.input());
        assertThat(Networks.difference(LoRA.apply(base, doubled).output(kind.input()), expected)).isLessThan(1e-12);
        assertThat(Networks.difference(LoRA.apply(base, LoRAAdapter.load(folder)).output(kind.input()), expected))
                .isLessThan(1e-10);
    }

    @Test
    void anAdapterForAnotherKernelOfTheSameSizeIsRefused() {
        LoRAAdapter adapter = LoRAAdapter.of(KernelAdapters.CONV2D.adapted(KernelAdapters.CONV2D.base()));
        Delta delta = adapter.content().delta("kernel1");
        LoRAAdapter turned = Adapters.adapter(Map.of("kernel1", new Delta(delta.a(), delta.b(), 1, delta.scaling(), null,
                new TensorLayout(false, List.of(2L, 3L), true))), Map.of(), 0);

        assertThatThrownBy(() -> turned.applyTo(KernelAdapters.CONV2D.adapted(KernelAdapters.CONV2D.base())))
                .hasMessageContaining("\"kernel1\"").hasMessageContaining("kernel of [2, 3]")
                .hasMessageContaining("kernel of [3, 2]");
    }

    @Test
    void tensorsOfNoKindOfLayerAreRefused() throws Exception {
        LoRAAdapter.of(KernelAdapters.CONV2D.adapted(KernelAdapters.CONV2D.base())).save(folder);
        Path file = folder.resolve("adapter_model.safetensors");
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        tensors.put("base_model.model.kernel1.lora_A.weight", Nd4j.ones(DataType.FLOAT, 3, 4, 3, 2));
        tensors.put("base_model.model.kernel1.lora_B.weight", Nd4j.ones(DataType.FLOAT, 5, 3, 1, 2));
        AdapterFiles.write(file, tensors, Map.of());
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("kernel1").hasMessageContaining("[5, 3, 1, 2]");

        tensors.put("base_model.model.kernel1.lora_B.weight", Nd4j.ones(DataType.FLOAT, 5, 3, 1, 1));
        tensors.put("base_model.model.kernel1.lora_embedding_A", Nd4j.ones(DataType.FLOAT, 3, 4));
        AdapterFiles.write(file, tensors, Map.of());
        assertThatThrownBy(() -> LoRAAdapter.load(folder)).isInstanceOf(AdapterFormatException.class)
                .hasMessageContaining("kernel1").hasMessageContaining("has both");
    }

    /** Some rows of a batch with one adapter, the others with another. */
    @ParameterizedTest
    @EnumSource
    void aBankServesSeveralAdaptersAtOnce(KernelAdapters kind) {
        MultiLayerNetwork base = kind.base();
        LoRAAdapter one = LoRAAdapter.of(kind.adapted(base));
        MultiLayerNetwork other = kind.adapted(base);
        other.params().muli(-0.5);
        LoRAAdapter two = LoRAAdapter.of(other);
        INDArray input = kind.input();
        try (AdapterBank bank = new AdapterBank(base)) {
            bank.add("one", one);
            bank.add("two", two);

            INDArray output = bank.output(new String[] {"one", "two"}, input);

            assertThat(Networks.difference(output.slice(0), LoRA.apply(base, one).output(input).slice(0))).isLessThan(1e-12);
            assertThat(Networks.difference(output.slice(1), LoRA.apply(base, two).output(input).slice(1))).isLessThan(1e-12);
            assertThat(Networks.difference(output.slice(0), base.output(input).slice(0))).isGreaterThan(1e-2);
        }
    }
}
