package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.report.LoRASummary;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PoolingType;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.NotSerializableException;
import java.io.ObjectOutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** What {@link LoRA#freeze} makes: the network's function, on its weights, in which nothing trains. */
class LoRAFreezeTest {

    private static final double CLOSE = 1e-5;

    @TempDir
    private Path folder;

    private static Model base(boolean graph) {
        return graph ? Networks.trainedGraph() : Networks.trainedLayers();
    }

    private static void assertSameOutput(Model actual, Model expected) {
        INDArray features = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);
        assertThat(Networks.difference(Models.output(actual, features), Models.output(expected, features))).isLessThan(CLOSE);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void computesWhatTheNetworkComputesAndHasNothingOfItsOwn(boolean graph) {
        Model base = base(graph);
        double[] before = Models.params(base);

        Model frozen = Models.freeze(base);

        assertSameOutput(frozen, base);
        assertThat(frozen.numParams()).isZero();
        assertThat(frozen.params().length()).isZero();
        assertThat(frozen.params().dataType()).isEqualTo(DataType.FLOAT);
        assertThat(Models.params(base)).containsExactly(before);
        base.params().muli(0.5);
        assertSameOutput(frozen, base);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void fitRefusesWhicheverWay(boolean graph) {
        Model frozen = Models.freeze(base(graph));
        DataSet data = Networks.data(DataType.FLOAT, 8, 1);
        List<Runnable> ways = List.of(() -> Models.fit(frozen, data),
                () -> Models.fit(frozen, new ListDataSetIterator<>(List.of(data), 8)),
                () -> Models.fit(Models.copy(frozen), data),
                () -> ((NeuralNetwork) frozen).fit(data.toMultiDataSet()));

        assertThat(ways).allSatisfy(way -> assertThatThrownBy(way::run).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("nothing to fit", "LoRA.apply(network, config)"));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void mergeAndUnloadGiveTheStockNetworkBack(boolean graph) {
        Model base = base(graph);
        Model frozen = Models.freeze(base);

        for (Model stock : List.of(Models.merge(frozen), Models.unload(frozen))) {
            assertThat(Models.params(stock)).containsExactly(Models.params(base));
            assertThat(stock).hasSameClassAs(base);
            assertThat(Models.json(stock)).isEqualTo(Models.json(base));
            stock.params().muli(0);
            assertSameOutput(frozen, base);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void adaptersFitTheNetworkAndItsFrozenForm(boolean graph) throws Exception {
        Model base = base(graph);
        Model tuned = Models.apply(Models.freeze(base), LoRAConfig.builder().rank(2).trainable("out").build());
        Model ofBase = Models.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        assertSameOutput(tuned, base);
        assertThat(Models.json(tuned)).isEqualTo(Models.json(ofBase));

        Models.fitSteps(tuned, 0, 3);
        LoRAAdapter.of(tuned).save(folder);

        assertSameOutput(Models.with(base, LoRAAdapter.load(folder)), tuned);
        assertSameOutput(Models.with(Models.freeze(base), LoRAAdapter.load(folder)), tuned);
        assertSameOutput(Models.unload(tuned), base);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void savedFilesHaveTheWeights(boolean graph) throws Exception {
        Model frozen = Models.freeze(base(graph));
        Path file = folder.resolve("frozen.zip");

        LoRA.save(frozen, file, true);

        Model loaded = LoRA.load(file);
        assertThat(Models.outputs(loaded)).containsExactly(Models.outputs(frozen));
        assertThat(Models.params(Models.merge(loaded))).containsExactly(Models.params(Models.merge(frozen)));
        assertThatThrownBy(() -> Models.fit(loaded, 1)).hasMessageContaining("nothing to fit");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void modelSerializersFilesReferToTheWeights(boolean graph) throws Exception {
        File file = folder.resolve("frozen.zip").toFile();
        Model base = base(graph);
        ModelSerializer.writeModel(Models.freeze(base), file, true);

        Model restored = graph ? ModelSerializer.restoreComputationGraph(file, true)
                : ModelSerializer.restoreMultiLayerNetwork(file, true);
        assertSameOutput(restored, base);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void attachTakesTheNetworkOrAFrozenFormOfIt(boolean graph) throws Exception {
        Path file = folder.resolve("frozen.zip");
        Model base = base(graph);
        LoRA.save(Models.freeze(base), file, false);

        for (Model given : List.of(base, Models.freeze(base))) {
            Model loaded = LoRA.load(file);
            Models.attach(loaded, given);
            assertSameOutput(loaded, base);
        }
        Model other = base(graph);
        other.params().muli(2);
        assertThatThrownBy(() -> Models.attach(LoRA.load(file), other)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Layer \"fc1\"", "different weights");
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void adaptersOfAnyStorageStandOnAFrozenForm(Models.Kind kind) {
        Model base = kind.base();
        Model tuned = kind.adapt(Models.freeze(base));
        Model ofBase = kind.adapt(base);

        Models.fitSteps(tuned, 0, 3);
        Models.fitSteps(ofBase, 0, 3);

        assertThat(Models.params(tuned)).containsExactly(Models.params(ofBase));
        assertThat(Models.outputs(tuned)).containsExactly(Models.outputs(ofBase));
        assertThat(Models.params(Models.unload(tuned))).containsExactly(Models.params(base));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void scoresEvaluationsAndActivationsAreTheNetworks(boolean graph) {
        Model base = base(graph);
        Model frozen = Models.freeze(base);
        DataSet data = Networks.data(DataType.FLOAT, 16, 4);

        assertThat(Models.score(frozen, data)).isCloseTo(Models.score(base, data), within(CLOSE));
        assertThat(evaluated(frozen, data).stats()).isEqualTo(evaluated(base, data).stats());
        Map<String, INDArray> activations = activations(frozen, data.getFeatures());
        activations(base, data.getFeatures()).forEach((layer, expected) ->
                assertThat(Networks.difference(activations.get(layer), expected)).as(layer).isLessThan(CLOSE));
    }

    private static Evaluation evaluated(Model model, DataSet data) {
        return ((NeuralNetwork) model).doEvaluation(new ListDataSetIterator<>(data.asList(), 8), new Evaluation())[0];
    }

    private static Map<String, INDArray> activations(Model model, INDArray features) {
        if (model instanceof ComputationGraph graph) {
            return graph.feedForward(features, false);
        }
        Map<String, INDArray> byIndex = new HashMap<>();
        ((MultiLayerNetwork) model).feedForward(features, false).forEach(each -> byIndex.put("" + byIndex.size(), each));
        return byIndex;
    }

    @Test
    void gradientsOfTheInputAreTheNetworks() {
        MultiLayerNetwork base = Networks.trainedLayers();
        DataSet data = Networks.data(DataType.FLOAT, 8, 4);

        Pair<Gradient, INDArray> gradients =
                LoRA.freeze(base).calculateGradients(data.getFeatures(), data.getLabels(), null, null);

        assertThat(gradients.getFirst().gradientForVariable()).isEmpty();
        assertThat(Networks.difference(gradients.getSecond(),
                base.calculateGradients(data.getFeatures(), data.getLabels(), null, null).getSecond())).isLessThan(CLOSE);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void summariesCountWhatIsFrozen(boolean graph) {
        Model base = base(graph);
        LoRASummary summary = LoRA.summary(Models.freeze(base));

        assertThat(summary.totalParams()).isEqualTo(base.numParams());
        assertThat(summary.trainableParams()).isZero();
        assertThat(summary.rows()).allSatisfy(row -> assertThat(row.role()).isEqualTo("frozen"));
        assertThat(graph ? ((ComputationGraph) Models.freeze(base)).summary() : ((MultiLayerNetwork) Models.freeze(base))
                .summary()).contains("fc1", "fc2", "out");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void whateverDl4jMakesOfItRefusesToFit(boolean graph) {
        Model frozen = Models.freeze(base(graph));
        List<Model> made = new ArrayList<>(List.of(Models.copy(frozen), Models.freeze(frozen)));
        if (frozen instanceof MultiLayerNetwork layers) {
            made.add(layers.toComputationGraph());
            assertThat(layers.convertDataType(DataType.FLOAT)).isSameAs(layers);
        }

        assertThat(made).allSatisfy(model -> {
            assertSameOutput(model, frozen);
            assertThatThrownBy(() -> Models.fit(model, 1)).isInstanceOf(IllegalStateException.class);
        });
        Model wide = Models.converted(frozen, DataType.DOUBLE);
        INDArray features = Networks.random(DataType.DOUBLE, 77, 5, Networks.IN);
        assertThat(Networks.difference(Models.output(wide, features), Models.output(frozen, features.castTo(DataType.FLOAT))))
                .isLessThan(CLOSE);
        assertThatThrownBy(() -> Models.fit(wide, Networks.data(DataType.DOUBLE, 8, 1))).hasMessageContaining("nothing to fit");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aNetworkThatMovedOrWasClosedIsNamed(boolean graph) {
        Model base = base(graph);
        Model frozen = Models.freeze(base);
        Models.freeze(base).close();
        base.params().muli(0.5);

        assertThat(List.<Runnable>of(() -> Models.merge(frozen), () -> Models.unload(frozen), () -> Models.freeze(frozen),
                () -> Models.apply(frozen, LoRAConfig.builder().rank(2).build()))).allSatisfy(action ->
                assertThatThrownBy(action::run).isInstanceOf(IllegalStateException.class)
                        .hasMessageContainingAll("Layer \"fc1\"", "have changed"));
        base.close();
        assertThatThrownBy(() -> Models.outputs(frozen)).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("Layer \"fc1\"", "closed");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void whatCannotBeFrozenIsRefusedWithTheFix(boolean graph) {
        Model adapted = Models.apply(base(graph), LoRAConfig.builder().rank(2).build());
        MultiLayerNetwork pooling = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new SubsamplingLayer.Builder().build()).setInputType(InputType.convolutional(4, 4, 1)).build());

        assertThatThrownBy(() -> Models.freeze(adapted)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("fc1", "LoRADenseLayer", "use it as it is", "LoRA.merge");
        assertSameOutput(Models.freeze(Models.merge(adapted)), adapted);
        assertThatThrownBy(() -> LoRA.freeze(pooling)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("nothing to freeze");
        assertThatThrownBy(() -> LoRA.freeze((ComputationGraph) null)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> LoRA.freeze(new MultiLayerNetwork(Networks.layersConf(DataType.FLOAT, new Sgd(1)))))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("not initialised");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void parametersCannotBeSetAndJavaCannotSerializeIt(boolean graph) {
        Model frozen = Models.freeze(base(graph));

        frozen.setParams(frozen.params());
        assertThatThrownBy(() -> frozen.setParams(base(graph).params())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("83 values", "LoRA.merge");
        if (!graph) {
            assertThatThrownBy(() -> new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(frozen))
                    .isInstanceOf(NotSerializableException.class).hasMessageContaining("LoRA.save");
        }
    }

    /** Masks, two inputs, vertices whose clones forget, layers of every manner of running. */
    @Test
    void severalInputsMasksAndVertices() {
        ComputationGraph base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).l2(0.1)
                .activation(Activation.TANH).graphBuilder().addInputs("words", "image")
                .setInputTypes(InputType.recurrent(3, 6), InputType.convolutional(6, 6, 2))
                .addLayer("lstm", new LSTM.Builder().nOut(4).build(), "words")
                .addLayer("attention", new SelfAttentionLayer.Builder().nOut(4).nHeads(2).projectInput(true).build(), "lstm")
                .addLayer("pooled", new GlobalPoolingLayer.Builder(PoolingType.AVG).build(), "attention")
                .addLayer("conv", new ConvolutionLayer.Builder(3, 3).nOut(3).activation(Activation.RELU).build(), "image")
                .addLayer("norm", new BatchNormalization(), "conv")
                .addLayer("drop", new DropoutLayer(0.5), "norm")
                .addLayer("flat", new DenseLayer.Builder().nOut(4).dropOut(0.5).build(), "drop")
                .addVertex("both", new MergeVertex(), "pooled", "flat")
                .addLayer("out", new OutputLayer.Builder().nOut(2).activation(Activation.SOFTMAX).build(), "both")
                .setOutputs("out", "pooled").build());
        INDArray mask = Nd4j.ones(DataType.FLOAT, 2, 6);
        mask.putScalar(0, 5, 0);
        INDArray[] features = {Networks.random(DataType.FLOAT, 1, 2, 3, 6), Networks.random(DataType.FLOAT, 2, 2, 2, 6, 6)};

        for (ComputationGraph frozen : List.of(LoRA.freeze(base), LoRA.freeze(base).clone())) {
            INDArray[] outputs = frozen.output(false, features, new INDArray[] {mask, null}, null);
            INDArray[] expected = base.output(false, features, new INDArray[] {mask, null}, null);
            for (int i = 0; i < expected.length; i++) {
                assertThat(Networks.difference(outputs[i], expected[i])).isLessThan(CLOSE);
            }
        }
        assertThat(Networks.difference(LoRA.freeze(base).output(features)[0], base.output(false, features,
                new INDArray[] {mask, null}, null)[0])).as("without the mask").isGreaterThan(1e-4);
    }

    @Test
    void oneForEachThreadOnTheSameWeights() throws Exception {
        ComputationGraph base = Networks.trainedGraph();
        ComputationGraph frozen = LoRA.freeze(base);
        double[] expected = Models.outputs(frozen);
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<?>> done = new ArrayList<>();
            for (ComputationGraph each : List.of(frozen, LoRA.freeze(frozen), LoRA.freeze(base), frozen.clone())) {
                done.add(threads.submit(() -> {
                    for (int i = 0; i < 50; i++) {
                        assertThat(Models.outputs(each)).containsExactly(expected);
                    }
                }));
            }
            for (Future<?> each : done) {
                each.get();
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void aBankStandsOnAFrozenForm() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).build()));
        INDArray features = Networks.random(DataType.FLOAT, 7, 3, Networks.IN);

        try (AdapterBank bank = new AdapterBank(LoRA.freeze(base))) {
            bank.add("one", adapter);
            assertThat(Networks.difference(bank.output("one", features), base.outputSingle(features))).isLessThan(CLOSE);
        }
    }
}
