package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Python;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import io.github.dl4jlora.variant.Variants;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** What we write computes the same in PyTorch, and what PyTorch writes computes the same here. */
@Tag("heavy")
class PythonInterchangeTest {

    private static final Map<String, String> TENSORS = Map.of("A", ".lora_A.weight", "B", ".lora_B.weight",
            "m", ".lora_magnitude_vector", "b", ".base_layer.bias");

    @TempDir
    private static Path logs;
    private static PythonWorker worker;

    @TempDir
    private Path folder;
    private final INDArray input = Networks.random(DataType.DOUBLE, 4, 7, Networks.IN);
    private final INDArray labels = Networks.data(DataType.DOUBLE, 7, 4).getLabels();

    @BeforeAll
    static void requirePython() throws Exception {
        Python.require("torch", "safetensors.torch");
        worker = new PythonWorker(logs.resolve("python.log"));
    }

    @AfterAll
    static void stopPython() throws IOException {
        if (worker != null) {
            worker.close();
        }
    }

    private static MultiLayerNetwork base(boolean bias) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(12).dataType(DataType.DOUBLE)
                .updater(new Sgd(0.1)).activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(Networks.IN).nOut(Networks.HIDDEN).hasBias(bias).biasInit(0.3)
                .build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(4).hasBias(bias).biasInit(-0.2).build())
                .layer(new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT).name("out").nOut(Networks.OUT).hasBias(bias)
                        .activation(Activation.SOFTMAX).build())
                .build());
    }

    private Path state(MultiLayerNetwork network) throws IOException {
        Map<String, INDArray> state = new LinkedHashMap<>();
        state.put("x", input);
        state.put("labels", labels);
        for (int i = 0; i < 3; i++) {
            String layer = network.getLayer(i).conf().getLayer().getLayerName();
            state.put(layer + ".weight", network.getParam(i + "_W").transpose());
            if (network.getParam(i + "_b") != null) {
                state.put(layer + ".bias", network.getParam(i + "_b").reshape(network.getParam(i + "_b").length()));
            }
        }
        Path file = folder.resolve("base.safetensors");
        AdapterFiles.write(file, state, Map.of());
        return file;
    }

    private INDArray python(String command, Path adapter, MultiLayerNetwork base, String... more)
            throws IOException, URISyntaxException {
        return python("/interchange.py", command, adapter, state(base), more).read("y");
    }

    private AdapterFiles.Tensors python(String script, String command, Path adapter, Path base, String... more)
            throws IOException, URISyntaxException {
        Path result = folder.resolve("result.safetensors");
        List<String> arguments = new ArrayList<>(List.of(command, adapter.toString(), base.toString(), result.toString()));
        arguments.addAll(List.of(more));
        worker.run(script, arguments);
        return AdapterFiles.open(result);
    }

    private void assertPythonAgrees(LoRAConfig.Builder config, boolean bias, DataType stored) throws Exception {
        MultiLayerNetwork base = base(bias);
        MultiLayerNetwork tuned = LoRA.apply(base, config.build());
        Networks.randomizeAdapters(tuned.paramTable(), 5);
        Map<String, Delta> deltas = new LinkedHashMap<>();
        LoRAAdapter exact = LoRAAdapter.of(tuned);
        exact.content().deltas().forEach((name, delta) -> deltas.put(name,
                new Delta(delta.a().castTo(stored), delta.b().castTo(stored),
                delta.alpha(), delta.scaling(), delta.baseId())));
        LoRAAdapter adapter = Adapters.adapter(deltas, exact.content().trained(), 0);
        Path files = folder.resolve("adapter");

        adapter.save(files);

        INDArray here = LoRA.apply(base, LoRAAdapter.load(files)).output(input);
        assertThat(Networks.difference(here, base.output(input))).isGreaterThan(1e-2);
        assertThat(Networks.difference(python("run", files, base), here)).isLessThan(1e-6);
    }

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void everyScalingIsPeftsThere(Scaling scaling) throws Exception {
        assertPythonAgrees(LoRAConfig.builder().rank(3).alpha(2.5).scaling(scaling).targets(".*"), true, DataType.DOUBLE);
    }

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void ranksAndAlphasOfTheirOwnArrive(Scaling scaling) throws Exception {
        assertPythonAgrees(LoRAConfig.builder().rank(3).alpha(2).scaling(scaling).targets(".*")
                .override("fc2", o -> o.rank(2).alpha(5)).override("out", o -> o.alpha(0.5)), true, DataType.DOUBLE);
    }

    @Test
    void layersWithoutBiasArrive() throws Exception {
        assertPythonAgrees(LoRAConfig.builder().rank(2).alpha(2).trainable("out"), false, DataType.DOUBLE);
    }

    @Test
    void modulesToSaveArrive() throws Exception {
        MultiLayerNetwork base = base(true);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        Networks.randomizeAdapters(tuned.paramTable(), 5);
        tuned.getParam("2_W").addi(Networks.random(DataType.DOUBLE, 8, 4, Networks.OUT));
        tuned.getParam("2_b").addi(1.5);
        tuned.getParam("2_b").putScalar(0, -2);

        LoRAAdapter.of(tuned).save(folder.resolve("adapter"));

        assertThat(Networks.difference(python("run", folder.resolve("adapter"), base), tuned.output(input))).isLessThan(1e-6);
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"DOUBLE", "FLOAT", "HALF", "BFLOAT16"})
    void everyDataTypeArrives(DataType stored) throws Exception {
        assertPythonAgrees(LoRAConfig.builder().rank(3).alpha(2).scaling(Scaling.ALPHA_OVER_RANK), true, stored);
    }

    @ParameterizedTest
    @ValueSource(strings = {"float64", "float32", "float16", "bfloat16"})
    void adapterThatPythonWroteInPeftsLayoutComputesTheSameHere(String dtype) throws Exception {
        MultiLayerNetwork base = base(true);
        Path files = folder.resolve("theirs");

        INDArray there = python("write", files, base, dtype);

        LoRAAdapter adapter = LoRAAdapter.load(files);
        assertThat(adapter.config().alpha()).isEqualTo(16);
        assertThat(adapter.content().deltas().get("fc2").rank()).isEqualTo(2);
        assertThat(adapter.content().trained()).containsOnlyKeys("out");
        assertThat(Networks.difference(LoRA.apply(base, adapter).output(input), there)).isLessThan(1e-6);
    }

    @ParameterizedTest
    @EnumSource(names = {"DORA", "PISSA", "OLORA", "ORTHOGONAL", "BIAS", "LORA_FA", "DORA_PISSA_BIAS", "LORA_FA_OLORA_BIAS"})
    void everyVariantComputesTheSameThereAndHasTheGradientsOfAutograd(Variants variant) throws Exception {
        MultiLayerNetwork base = base(true);
        MultiLayerNetwork tuned = Variants.disturb(LoRA.apply(base,
                variant.config().scaling(Scaling.ALPHA_OVER_RANK).targets(".*").build()));
        LoRAAdapter.of(tuned).save(folder.resolve("adapter"));

        assertThat(Networks.difference(python("grad", folder.resolve("adapter"), base), tuned.output(input))).isLessThan(1e-10);

        AdapterFiles.Tensors there = AdapterFiles.open(folder.resolve("result.safetensors"));
        Map<String, INDArray> here = Gradients.of(tuned, new MultiDataSet(input, labels));
        for (int i = 0; i < 3; i++) {
            String layer = "base_model.model." + tuned.getLayer(i).conf().getLayer().getLayerName();
            for (Map.Entry<String, String> tensor : TENSORS.entrySet()) {
                INDArray gradient = here.get(i + "_" + tensor.getKey());
                if (gradient != null) {
                    INDArray expected = there.read(layer + tensor.getValue());
                    INDArray oriented = expected.rank() == 1 ? expected.reshape(1, expected.length()) : expected.transpose();
                    assertThat(Networks.difference(gradient, oriented)).as(layer + tensor.getValue()).isLessThan(1e-9);
                }
            }
        }
        assertThat(here).isNotEmpty();
    }

    @Test
    void freshStartsAreThoseOfThePapers() throws Exception {
        for (Variants variant : List.of(Variants.PISSA, Variants.OLORA)) {
            MultiLayerNetwork base = base(true);
            LoRAAdapter.of(LoRA.apply(base, variant.config().scaling(Scaling.ALPHA_OVER_RANK).build()))
                    .save(folder.resolve("adapter"));

            assertThat(Networks.difference(python("run", folder.resolve("adapter"), base), base.output(input))).isLessThan(1e-10);
        }
    }

    /** PyTorch takes starts from its own W, as PEFT does. */
    @ParameterizedTest
    @EnumSource(names = {"PISSA", "OLORA"})
    void adaptersThatStartedFromFewerBitsArrive(Variants variant) throws Exception {
        MultiLayerNetwork base = base(true);
        LoRAAdapter adapter = LoRAAdapter.of(Variants.disturb(LoRA.apply(base,
                variant.config().quantize(Quantization.NF4).build())));
        adapter.save(folder.resolve("adapter"));

        assertThat(Networks.difference(python("run", folder.resolve("adapter"), base), LoRA.apply(base, adapter).output(input)))
                .isLessThan(1e-10);
    }

    @Test
    void plainAdaptersMadeOfTakenStartsArrive() throws Exception {
        MultiLayerNetwork base = base(true);
        MultiLayerNetwork tuned = Variants.disturb(LoRA.apply(base, Variants.PISSA_RANDOMISED.config().build()));

        LoRAAdapter.of(tuned).toPlainLoRA().save(folder.resolve("adapter"));

        assertThat(Networks.difference(python("run", folder.resolve("adapter"), base), tuned.output(input))).isLessThan(1e-10);
    }

    private static final int[] BATCHES = {3, 2, 2};

    private DataSetIterator batches() {
        List<DataSet> batches = new ArrayList<>();
        int from = 0;
        for (int size : BATCHES) {
            INDArrayIndex[] rows = {NDArrayIndex.interval(from, from + size), NDArrayIndex.all()};
            batches.add(new DataSet(input.get(rows).dup(), labels.get(rows).dup()));
            from += size;
        }
        return new ListDataSetIterator<>(batches, 1);
    }

    private AdapterFiles.Tensors starts(String command, MultiLayerNetwork base, int... more) throws Exception {
        return python("/starts.py", command, Path.of(words(BATCHES).collect(Collectors.joining(","))), state(base),
                words(more).toArray(String[]::new));
    }

    private static Stream<String> words(int... numbers) {
        return Arrays.stream(numbers).mapToObj(String::valueOf);
    }

    private static INDArray withSign(INDArray columns) {
        INDArray result = columns.dup();
        for (int i = 0; i < result.size(1); i++) {
            INDArray column = result.getColumn(i);
            column.muli(column.maxNumber().doubleValue() < -column.minNumber().doubleValue() ? -1 : 1);
        }
        return result;
    }

    @Test
    void evasComponentsAndRanksAreThoseOfItsFormulas() throws Exception {
        MultiLayerNetwork base = base(true);
        LoRAConfig.Builder eva = LoRAConfig.builder().rank(2).loraInit(LoRAInit.EVA).targets(".*");
        MultiLayerNetwork adapted = LoRA.apply(base, eva.build(), batches());
        LoRAAdapter budgeted = LoRAAdapter.of(LoRA.apply(base, eva.rankBudget(7).build(), batches()));

        AdapterFiles.Tensors there = starts("eva", base, 2, 7);

        INDArray ranks = there.read("ranks");
        for (int i = 0; i < 3; i++) {
            String layer = adapted.getLayer(i).conf().getLayer().getLayerName();
            assertThat(Networks.difference(withSign(adapted.getParam(i + "_A")), there.read(layer + ".A").transpose()))
                    .as(layer).isLessThan(1e-10);
            assertThat(budgeted.layers().contains(layer) ? budgeted.settings(layer).rank() : 0).isEqualTo(ranks.getInt(i));
        }
    }

    @Test
    void loraGasSingularVectorsAreThoseOfItsFormulas() throws Exception {
        MultiLayerNetwork base = base(true);
        LoRAConfig config = LoRAConfig.builder().rank(2).loraInit(LoRAInit.LORA_GA).targets(".*").build();
        MultiLayerNetwork adapted = LoRA.apply(base, config, batches());

        AdapterFiles.Tensors there = starts("ga", base, 2);

        for (int i = 0; i < 3; i++) {
            String layer = adapted.getLayer(i).conf().getLayer().getLayerName();
            assertThat(Networks.difference(withSign(adapted.getParam(i + "_A")), there.read(layer + ".A").transpose()))
                    .as(layer).isLessThan(1e-9);
            if (i < 2) {
                // Of the softmax of three outputs dW has rank 2: the third direction is anything's.
                assertThat(Networks.difference(withSign(adapted.getParam(i + "_B").transpose()),
                        there.read(layer + ".B").transpose())).as(layer).isLessThan(1e-9);
            }
        }
    }

    @Test
    void adaptersThatStartedFromDataComputeTheSameThere() throws Exception {
        MultiLayerNetwork base = base(true);
        for (LoRAConfig.Builder config : List.of(LoRAConfig.builder().rank(2).alpha(3).loraInit(LoRAInit.LORA_GA),
                LoRAConfig.builder().rank(2).alpha(3).scaling(Scaling.ALPHA_OVER_RANK).loraInit(LoRAInit.EVA).rankBudget(7))) {
            MultiLayerNetwork tuned = LoRA.apply(base, config.targets(".*").build(), batches());
            Networks.randomizeAdapters(tuned.paramTable(), 5);
            LoRAAdapter.of(tuned).save(folder.resolve("adapter"));

            INDArray there = python("run", folder.resolve("adapter"), base);
            assertThat(Networks.difference(there, tuned.output(input))).isLessThan(1e-10);
        }
    }

    static Stream<Arguments> kernels() {
        return Arrays.stream(KernelAdapters.values()).flatMap(kind -> Stream.<Variant>of(new PlainLoRA(), new DoRA())
                .map(variant -> Arguments.of(kind, variant)));
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void convolutionsAndEmbeddingsComputeTheSameThereAndHaveTheGradientsOfAutograd(KernelAdapters kind, Variant variant)
            throws Exception {
        MultiLayerNetwork base = kind.base();
        MultiLayerNetwork tuned = kind.adapted(base, variant);
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        adapter.save(folder.resolve("adapter"));

        AdapterFiles.Tensors there = kernels("run", kind, base);

        INDArray added = kind.torchWeight(LoRA.merge(tuned)).sub(kind.torchWeight(base));
        assertThat(there.shape("y")).isEqualTo(tuned.output(kind.input()).shape());
        assertThat(Networks.difference(there.read("y"), tuned.output(kind.input()))).isLessThan(1e-12);
        assertThat(Networks.difference(there.read("delta"), added)).isLessThan(1e-12);
        TensorLayout layout = adapter.content().deltas().get("kernel1").layout();
        Map<String, INDArray> gradients = gradients(tuned, kind);
        assertThat(Networks.difference(there.read("gradient of " + layout.nameOfA().substring(1)),
                layout.fileA(gradients.get("0_W.A")))).isLessThan(1e-11);
        assertThat(Networks.difference(there.read("gradient of " + layout.nameOfB().substring(1)),
                layout.fileB(gradients.get("0_W.B")))).isLessThan(1e-11);
        if (variant instanceof DoRA) {
            assertThat(Networks.difference(there.read("gradient of lora_magnitude_vector"),
                    layout.fileMagnitude(gradients.get("0_W.m")))).isLessThan(1e-11);
        }
    }

    private static Map<String, INDArray> gradients(MultiLayerNetwork network, KernelAdapters kind) {
        INDArray outputGradient = kind.outputGradient(network);
        network.setInput(kind.input());
        network.feedForward(true, false);
        return Gradients.copyOf(network.backpropGradient(outputGradient, LayerWorkspaceMgr.noWorkspaces()).getFirst());
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void convolutionsAndEmbeddingsThatPythonWroteInPeftsLayoutComputeTheSameHere(KernelAdapters kind, Variant variant)
            throws Exception {
        MultiLayerNetwork base = kind.base();

        AdapterFiles.Tensors there = kernels("write", kind, base, variant.name().toLowerCase(Locale.ROOT));

        LoRAAdapter adapter = LoRAAdapter.load(folder.resolve("adapter"));
        MultiLayerNetwork tuned = LoRA.apply(base, adapter);
        assertThat(tuned.getParam("0_W.m") != null).isEqualTo(variant instanceof DoRA);
        assertThat(Networks.difference(tuned.output(kind.input()), there.read("y"))).isLessThan(1e-5);
        assertThat(Networks.difference(kind.torchWeight(LoRA.merge(tuned)).sub(kind.torchWeight(base)), there.read("delta")))
                .isLessThan(1e-5);
        assertThat(Networks.difference(base.output(kind.input()), there.read("y"))).isGreaterThan(1e-1);
    }

    private AdapterFiles.Tensors kernels(String command, KernelAdapters kind, MultiLayerNetwork base, String... more)
            throws Exception {
        Path state = folder.resolve("base.safetensors");
        AdapterFiles.write(state, kind.torchState(base), Map.of());
        List<String> arguments = new ArrayList<>(List.of(kind.name().toLowerCase(Locale.ROOT)));
        arguments.addAll(List.of(more));
        return python("/interchange_kernels.py", command, folder.resolve("adapter"), state, arguments.toArray(String[]::new));
    }
}
