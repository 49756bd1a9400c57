package io.github.dl4jlora;

import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.io.File;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
            assertThat(json(stock)).isEqualTo(json(base));
            stock.params().muli(0);
            assertSameOutput(frozen, base);
        }
    }

    private static String json(Model model) {
        return model instanceof ComputationGraph graph ? graph.getConfiguration().toJson()
                : ((MultiLayerNetwork) model).getLayerWiseConfigurations().toJson();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void adaptersFitTheNetworkAndItsFrozenForm(boolean graph) throws Exception {
        Model base = base(graph);
        Model tuned = Models.apply(Models.freeze(base), LoRAConfig.builder().rank(2).trainable("out").build());
        Model ofBase = Models.apply(base, LoRAConfig.builder().rank(2).trainable("out").build());
        assertSameOutput(tuned, base);
        assertThat(json(tuned)).isEqualTo(json(ofBase));

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
}
