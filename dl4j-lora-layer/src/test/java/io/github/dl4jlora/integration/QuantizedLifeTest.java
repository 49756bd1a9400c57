package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.deeplearning4j.parallelism.ParallelWrapper.TrainingMode;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.File;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;

/** Where weights in fewer bits are found again, who else uses them, and who lets go of what they were made of. */
class QuantizedLifeTest {

    private static final INDArray FEATURES = Networks.random(DataType.FLOAT, 4, 7, Networks.IN);

    private static LoRAConfig.Builder config(Quantization scheme) {
        return LoRAConfig.builder().rank(2).alpha(2).targets("fc1").quantize(scheme);
    }

    private static MultiLayerNetwork tuned(MultiLayerNetwork base, LoRAConfig config) {
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        tuned.fit(Networks.data(DataType.FLOAT, 8, 21));
        return tuned;
    }

    private static Map<String, String> ids(Model adapted) {
        Map<String, String> ids = new TreeMap<>();
        BaseValues.verified(adapted).forEach((layer, weights) -> ids.put(layer, weights.id()));
        return ids;
    }

    /** Makes a network whose weights nobody has hold of once it returns. */
    private static INDArray written(File adapted, File base, Quantization scheme) throws IOException {
        // Other values than any other test has in this JVM.
        MultiLayerNetwork stock = Networks.trainedLayers();
        stock.params().addi(Networks.random(DataType.FLOAT, 1_000 + scheme.ordinal(), stock.params().shape()).muli(0.01));
        MultiLayerNetwork tuned = tuned(stock, config(scheme).build());
        ModelSerializer.writeModel(tuned, adapted, true);
        ModelSerializer.writeModel(stock, base, true);
        return tuned.output(FEATURES);
    }

    /** Layers of which three are not quantised; other values than any other test has in this JVM. */
    private static MultiLayerNetwork ofManyKinds() {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(12).updater(new Sgd(0.1)).list()
                .layer(new LSTM.Builder().name("memory").nOut(5).build())
                .layer(new GlobalPoolingLayer.Builder().poolingType(PoolingType.AVG).build())
                .layer(new BatchNormalization.Builder().name("norm").build())
                .layer(new DenseLayer.Builder().name("normed").nOut(6).hasLayerNorm(true).activation(Activation.TANH).build())
                .layer(new DenseLayer.Builder().name("fc1").nOut(5).activation(Activation.TANH).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(3).activation(Activation.SOFTMAX).build())
                .setInputType(InputType.recurrent(4)).build());
        base.params().addi(Networks.random(DataType.FLOAT, 1_100, base.params().shape()).muli(0.01));
        return base;
    }

    @Test
    void layersThatAreNotQuantisedAreFoundByCopiesOfALoadedNetwork(@TempDir Path folder) throws Exception {
        INDArray features = Networks.random(DataType.FLOAT, 4, 32, 4, 3);
        Path file = folder.resolve("base.zip");
        File checkpoint = folder.resolve("checkpoint.zip").toFile();
        ModelSerializer.writeModel(ofManyKinds(), file.toFile(), false);
        MultiLayerNetwork tuned = (MultiLayerNetwork) LoRA.loadQuantized(file, config(Quantization.INT8).build());
        ParallelWrapper.Builder<MultiLayerNetwork> workers = new ParallelWrapper.Builder<>(tuned).workers(2).prefetchBuffer(0);
        try (ParallelWrapper wrapper = workers.trainingMode(TrainingMode.AVERAGING).averagingFrequency(1).build()) {
            wrapper.fit(new ListDataSetIterator<>(new DataSet(features, Networks.data(DataType.FLOAT, 32, 8).getLabels())
                    .asList(), 8));
        }
        ModelSerializer.writeModel(tuned, checkpoint, true);

        assertThat(LoRA.restoreMultiLayerNetwork(checkpoint.toPath(), true).output(features)).isEqualTo(tuned.output(features));
    }

    private static void collect(WeakReference<?> reference) throws InterruptedException {
        for (int i = 0; i < 100 && reference.get() != null; i++) {
            System.gc();
            Thread.sleep(20);
        }
        assertThat(reference.get()).isNull();
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void whatDl4jRestoresNamesTheLayerUntilItsBaseIsAttached(Quantization scheme, @TempDir Path folder) throws Exception {
        File file = folder.resolve("adapted.zip").toFile();
        File base = folder.resolve("base.zip").toFile();
        INDArray expected = written(file, base, scheme);
        MultiLayerNetwork restored = null;
        FrozenWeightsMissingException missing = null;
        for (int i = 0; i < 100 && missing == null; i++) {
            System.gc();
            Thread.sleep(20);
            restored = ModelSerializer.restoreMultiLayerNetwork(file, true);
            try {
                restored.output(FEATURES);
            } catch (FrozenWeightsMissingException e) {
                missing = e;
            }
        }

        assertThat(missing).hasMessageContaining("fc1");
        LoRA.attach(restored, ModelSerializer.restoreMultiLayerNetwork(base, true));
        assertThat(restored.output(FEATURES)).isEqualTo(expected);
        restored.fit(Networks.data(DataType.FLOAT, 8, 22));
        try (LoRA.Scope scope = LoRA.disabled(restored)) {
            assertThat(restored.output(FEATURES)).isEqualTo(LoRA.unload(restored).output(FEATURES));
        }
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void aBaseLocationIsQuantisedAsItWas(Quantization scheme, @TempDir Path folder) throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers();
        File file = folder.resolve("base.zip").toFile();
        ModelSerializer.writeModel(base, file, true);
        MultiLayerNetwork tuned = tuned(base, config(scheme).baseLocation(file.toURI()).build());
        String json = tuned.getLayerWiseConfigurations().toJson();
        MultiLayerNetwork rebuilt = Networks.of(MultiLayerConfiguration.fromJson(json));
        rebuilt.setParams(tuned.params().dup());

        assertThat(rebuilt.output(FEATURES)).isEqualTo(tuned.output(FEATURES));
        assertThat(ids(rebuilt)).isEqualTo(ids(tuned)).isNotEmpty();
    }

    @Test
    void theOriginalMayBeCollected() throws Exception {
        for (boolean freezes : new boolean[] {false, true}) {
            MultiLayerNetwork base = Networks.trainedLayers();
            WeakReference<INDArray> original = new WeakReference<>(base.params());
            WeakReference<MultiLayerNetwork> network = new WeakReference<>(base);
            MultiLayerNetwork made = freezes ? LoRA.freeze(base, Quantization.NF4)
                    : tuned(base, config(Quantization.INT8).trainable("out").build());
            INDArray before = made.output(FEATURES);
            base = null;

            collect(network);
            collect(original);
            assertThat(made.output(FEATURES)).isEqualTo(before);
        }
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void networksOfOneBaseShareWhatIsStored(Quantization scheme) {
        MultiLayerNetwork base = Networks.trainedLayers();
        Map<String, FrozenWeights> one = BaseValues.verified(LoRA.apply(base, config(scheme).build()));
        Map<String, FrozenWeights> other = BaseValues.verified(LoRA.apply(base, config(scheme).rank(3).seed(9L).build()));

        assertThat(one.keySet()).contains("fc1", "fc2", "out");
        one.forEach((layer, weights) -> assertThat(other.get(layer)).as(layer).isSameAs(weights));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void threadsComputeTheSameOnOneBase(Quantization scheme) throws Exception {
        MultiLayerNetwork base = Networks.trainedLayers();
        List<MultiLayerNetwork> networks = new ArrayList<>();
        List<INDArray> expected = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            MultiLayerNetwork network = tuned(base, config(scheme).seed((long) i).build());
            expected.add(network.output(FEATURES));
            networks.add(network);
        }
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try {
            List<Future<Boolean>> results = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                MultiLayerNetwork network = networks.get(i);
                INDArray own = expected.get(i);
                results.add(threads.submit(() -> {
                    boolean same = true;
                    for (int pass = 0; pass < 50; pass++) {
                        same &= network.output(FEATURES).equals(own);
                        try (LoRA.Scope scope = pass % 10 == 0 ? LoRA.disabled(network) : null) {
                            network.output(FEATURES);
                        }
                    }
                    return same;
                }));
            }
            for (Future<Boolean> result : results) {
                assertThat(result.get()).isTrue();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void anAdapterGoesToTheFloatFormAndBack(Quantization scheme, @TempDir Path folder) throws IOException {
        MultiLayerNetwork base = Networks.trainedLayers();
        MultiLayerNetwork tuned = tuned(base, config(scheme).build());
        LoRAAdapter.of(tuned).save(folder.resolve("quantized"));
        MultiLayerNetwork onFloat = LoRA.apply(base, LoRAAdapter.load(folder.resolve("quantized")));

        assertThat(onFloat.params()).isEqualTo(tuned.params());
        assertThat(onFloat.output(FEATURES).distance2(tuned.output(FEATURES))).isBetween(1e-6, 0.5);
        LoRAAdapter.of(onFloat).save(folder.resolve("float"));
        MultiLayerNetwork back = LoRA.apply(base, LoRAAdapter.load(folder.resolve("float")),
                LoRAConfig.builder().quantize(scheme).build());
        assertThat(back.output(FEATURES)).isEqualTo(tuned.output(FEATURES));
        LoRAAdapter.load(folder.resolve("float")).applyTo(tuned);
        assertThat(tuned.output(FEATURES)).isEqualTo(back.output(FEATURES));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void aBankServesOnAFrozenBase(Quantization scheme) {
        MultiLayerNetwork base = Networks.trainedLayers();
        MultiLayerNetwork one = tuned(base, config(scheme).build());
        MultiLayerNetwork other = tuned(base, config(scheme).targets("fc2").build());
        Networks.randomizeAdapters(other.paramTable(), 6);
        try (AdapterBank bank = new AdapterBank(LoRA.freeze(base, scheme))) {
            bank.add("one", LoRAAdapter.of(one));
            bank.add("other", LoRAAdapter.of(other));

            INDArray mixed = bank.output(new String[] {"one", "other", "one", "one", "other", "one", "one"}, FEATURES);
            for (int row = 0; row < FEATURES.size(0); row++) {
                MultiLayerNetwork expected = row == 1 || row == 4 ? other : one;
                assertThat(Networks.difference(mixed.getRow(row), expected.output(FEATURES).getRow(row))).isLessThan(1e-6);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"HALF, BF16, 5e-3", "HALF, INT8, 5e-3", "HALF, NF4, 5e-3", "DOUBLE, BF16, 1e-12", "DOUBLE, NF4, 1e-12"})
    void basesOfAnyTypeAreQuantised(DataType type, Quantization scheme, double tolerance) {
        MultiLayerNetwork base = Networks.trainedLayers(type, new Sgd(0.1));
        INDArray features = FEATURES.castTo(type);
        MultiLayerNetwork tuned = LoRA.apply(base, config(scheme).build());
        MultiLayerNetwork restored = LoRA.unload(tuned);

        assertThat(restored.params().dataType()).isEqualTo(type);
        assertThat(Networks.difference(tuned.output(features), restored.output(features))).isLessThan(tolerance);
        LoRA.attach(tuned, base.clone());
        tuned.fit(Networks.data(type, 8, 21));
        assertThat(Networks.difference(LoRA.merge(tuned).output(features), tuned.output(features))).isLessThan(tolerance);
        assertThat(Models.values(LoRA.unload(tuned).params())).isEqualTo(Models.values(restored.params()));
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void anotherDataTypeStandsOnTheSameStoredValues(Quantization scheme) {
        MultiLayerNetwork tuned = tuned(Networks.trainedLayers(), config(scheme).build());
        MultiLayerNetwork wide = tuned.convertDataType(DataType.DOUBLE);
        ComputationGraph graph = LoRA.apply(Networks.trainedGraph(), config(scheme).build()).convertDataType(DataType.HALF);

        assertThat(ids(wide)).isEqualTo(ids(tuned));
        assertThat(Networks.difference(wide.output(FEATURES.castTo(DataType.DOUBLE)), tuned.output(FEATURES))).isLessThan(1e-6);
        assertThat(Networks.difference(LoRA.unload(wide).params(), LoRA.unload(tuned).params())).isZero();
        assertThat(Models.output(graph, FEATURES.castTo(DataType.HALF)).castTo(DataType.FLOAT).isNaN().any()).isFalse();
    }
}
