package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.layer.LoRADenseLayer;
import io.github.dl4jlora.variant.FrozenALoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

/** What a start from data says no to, what is missing, and what it does with ranks. */
class DataStartRefusalsTest {

    private final MultiLayerNetwork base = Networks.trainedLayers();

    private static DataSetIterator of(DataSet... batches) {
        return new ExistingDataSetIterator(Arrays.asList(batches));
    }

    private static DataSetIterator data() {
        return of(Networks.data(DataType.FLOAT, 30, 1), Networks.data(DataType.FLOAT, 30, 2));
    }

    private static LoRAConfig.Builder config(LoRAInit init) {
        return LoRAConfig.builder().rank(2).loraInit(init);
    }

    private void assertRefused(LoRAConfig.Builder config, DataSetIterator data, String... parts) {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, config.build(), data))
                .withMessageContainingAll(parts);
    }

    @ParameterizedTest
    @EnumSource(names = {"EVA", "LORA_GA"})
    void withoutDataThereIsNoStart(LoRAInit init) {
        String[] parts = {"fc2", "LoRAInit." + init, "LoRA.apply(base, config, data)"};
        LoRAConfig override = LoRAConfig.builder().override("fc2", o -> o.loraInit(init)).build();

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, override)).withMessageContainingAll(parts);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(Networks.trainedGraph(), override))
                .withMessageContainingAll(parts);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> init.fill(Nd4j.create(3, 2), Nd4j.create(2, 3), new Random(1)))
                .withMessageContaining("LoRA.apply(base, config, data)");
        assertThatIllegalArgumentException().isThrownBy(() -> new LoRADenseLayer.Builder().name("fc").nIn(4).nOut(4).rank(2)
                .loraInit(init).build()).withMessageContainingAll("fc", "declared", "LoRA.apply(base, config, data)");
    }

    @Test
    void dataThatNobodyNeedsIsRefused() {
        assertRefused(config(LoRAInit.PISSA), data(), "no adapter starts from data", "LoRAInit.PISSA",
                "LoRA.apply(base, config)");
    }

    @Test
    void theIteratorMustHaveSomethingAndBeginAgain() {
        assertRefused(config(LoRAInit.EVA), null, "is null");
        assertRefused(config(LoRAInit.EVA), new ListDataSetIterator<>(List.<DataSet>of(), 1), "is empty");
        assertRefused(config(LoRAInit.EVA), new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 3, 1)).iterator()),
                "cannot be reset", "ListDataSetIterator");
        ComputationGraph graph = Networks.trainedGraph();
        INDArray x = Networks.random(DataType.FLOAT, 1, 4, Networks.IN);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(graph, config(LoRAInit.EVA).build(),
                new SingletonMultiDataSetIterator(new MultiDataSet(new INDArray[] {x, x}, new INDArray[] {x}))))
                .withMessageContainingAll("[in]", "2 arrays");
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(graph, config(LoRAInit.LORA_GA).build(),
                new SingletonMultiDataSetIterator(new MultiDataSet(new INDArray[] {x}, new INDArray[] {x, x}))))
                .withMessageContainingAll("[out]", "2 arrays of labels");
    }

    @ParameterizedTest
    @EnumSource(names = {"EVA", "LORA_GA"})
    void nothingStartsFromNumbersThatAreNone(LoRAInit init) {
        DataSet broken = Networks.data(DataType.FLOAT, 30, 2);
        broken.getFeatures().putScalar(3, 2, Double.NaN);

        assertRefused(config(init), of(Networks.data(DataType.FLOAT, 30, 1), broken), "NaN or infinity", "batch 2",
                "LoRAInit." + init);
    }

    @Test
    void inputsThatAreTheSameEverywhereHaveNoComponents() {
        assertRefused(config(LoRAInit.EVA), of(zeros(), zeros()), "\"fc1\"", "inputs are the same in all of the data", "fc1/W");
    }

    @Test
    void aDeadGradientIsNoStart() {
        assertRefused(config(LoRAInit.LORA_GA), of(zeros()), "\"fc1\"", "gradient of its W is zero in all of the 1 batches",
                "fc1/W");
    }

    private static DataSet zeros() {
        return new DataSet(Nd4j.zeros(DataType.FLOAT, 20, Networks.IN), Networks.data(DataType.FLOAT, 20, 1).getLabels());
    }

    @Test
    void aGradientNeedsLabelsAndComponentsDoNot() {
        DataSet unlabelled = new DataSet(Networks.random(DataType.FLOAT, 1, 20, Networks.IN), null);

        assertRefused(config(LoRAInit.LORA_GA), of(unlabelled), "no labels", "LoRAInit.EVA");
        assertThat(LoRA.apply(base, config(LoRAInit.EVA).build(), of(unlabelled)).getParam("0_A").norm2(0).toDoubleVector())
                .containsExactly(new double[] {1, 1}, within(1e-6));
    }

    @Test
    void ranksThatAreTooHighAreRefused() {
        assertRefused(config(LoRAInit.EVA).rank(Networks.IN + 1), data(), "\"fc1\"", "there are only 6", "rank is 7");
        assertRefused(config(LoRAInit.LORA_GA).rank(6), data(), "\"fc1\"", "at most 5");
    }

    @Test
    void layersThatHaveNoSuchStartAreNamed() {
        MultiLayerNetwork recurrent = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(4).nOut(2).build())
                .build());
        MultiLayerNetwork words = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new EmbeddingLayer.Builder().name("words").nIn(30).nOut(4).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(4).nOut(2).build()).build());
        for (LoRAInit init : List.of(LoRAInit.EVA, LoRAInit.LORA_GA)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> LoRA.apply(recurrent, config(init).targets("lstm").build(), data()))
                    .withMessageContainingAll("LoRAInit." + init, "\"lstm\" (LSTM)", "override");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> LoRA.apply(words, config(init).targets("words").build(), data()))
                    .withMessageContainingAll("LoRAInit." + init, "\"words\" (EmbeddingLayer)", "exclude");
        }
    }

    @Test
    void ranksFromDataNeedDataAndComponentsEverywhere() {
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, config(LoRAInit.EVA).rankBudget(4).build()))
                .withMessageContainingAll("rankBudget(4)", "LoRA.apply(base, config, data)");
        assertRefused(config(LoRAInit.EVA).rankBudget(4).override("fc2", o -> o.loraInit(LoRAInit.GAUSSIAN)), data(), "\"fc2\"",
                "rankBudget(4)", "LoRAInit.GAUSSIAN");
        assertRefused(config(LoRAInit.EVA).rankBudget(9), data(), "rankBudget is 9", "2 adapted matrices", "at most 8");
        assertRefused(config(LoRAInit.EVA).rankBudget(5, 1), data(), "at most 4", "1.0 times");
        assertThatIllegalArgumentException().isThrownBy(() -> config(LoRAInit.EVA).rankBudget(0).build())
                .withMessageContaining("rankBudget is 0");
        assertThatIllegalArgumentException().isThrownBy(() -> config(LoRAInit.EVA).rankBudget(4, 0.5).build())
                .withMessageContaining("0.5");
        assertThatIllegalArgumentException().isThrownBy(() -> config(LoRAInit.EVA).startBatches(0).build())
                .withMessageContaining("startBatches is 0");
        LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).build()));
        LoRAConfig budget = LoRAConfig.builder().rankBudget(4).build();
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, adapter, budget))
                .withMessageContainingAll("rankBudget is 4", "has its ranks");
    }

    @Test
    void aLayerWithoutRankIsFrozenAndTheOthersAddUpToTheBudget() {
        // One direction of fc1's inputs explains nearly everything: of three ranks it gets one, fc2 what is left.
        INDArray features = Networks.random(DataType.FLOAT, 1, 40, Networks.IN)
                .muliRowVector(Nd4j.createFromArray(9f, 1, 1, 1, 1, 1));
        DataSet data = new DataSet(features, Networks.data(DataType.FLOAT, 40, 1).getLabels());
        List<String> lines = new ArrayList<>();

        MultiLayerNetwork one = LoRA.apply(base, config(LoRAInit.EVA).rankBudget(1).build(), of(data), lines::add);
        MultiLayerNetwork three = LoRA.apply(base, config(LoRAInit.EVA).rankBudget(3).build(), of(data));

        assertThat(LoRAAdapter.of(one).layers()).hasSize(1);
        assertThat(LoRAAdapter.of(three).layers().stream().mapToInt(layer -> LoRAAdapter.of(three).settings(layer).rank()).sum())
                .isEqualTo(3);
        assertThat(lines.get(lines.size() - 1)).startsWith("EVA: ranks {fc1/W=").contains("=0");
        assertThat(one.output(features)).isEqualTo(base.output(features));
        assertThat(config(LoRAInit.EVA).rankBudget(3, 1.5).startBatches(2).build().toBuilder().build()).hasToString(
                config(LoRAInit.EVA).rankBudget(3, 1.5).startBatches(2).build().toString());
    }

    @Test
    void whatIsSaidOfALayerWithoutRankIsForNone() {
        for (String layer : List.of("fc1", "fc2")) {
            LoRAConfig config = config(LoRAInit.EVA).rankBudget(1).override(layer, o -> o.alpha(7)).variant(new FrozenALoRA())
                    .build();

            LoRAAdapter adapter = LoRAAdapter.of(LoRA.apply(base, config, data()));

            String adapted = adapter.layers().get(0);
            assertThat(adapter.layers()).hasSize(1);
            assertThat(adapter.settings(adapted).variant()).isEqualTo(new FrozenALoRA());
            double alpha = adapted.equals(layer) ? 7 : config.alpha();
            assertThat(adapter.settings(adapted).factor()).isCloseTo(config.scaling().factor(alpha, 2), within(1e-12));
        }
    }

    @Test
    void inputsThatDifferByRoundingAloneHaveNoComponents() {
        DataSet tenths = new DataSet(Nd4j.valueArrayOf(new long[] {30, Networks.IN}, 0.1, DataType.DOUBLE),
                Networks.data(DataType.DOUBLE, 30, 1).getLabels());
        MultiLayerNetwork doubles = Networks.trainedLayers(DataType.DOUBLE, new Sgd(0.1));

        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(doubles, config(LoRAInit.EVA).build(), of(tenths)))
                .withMessageContainingAll("\"fc1\"", "inputs are the same in all of the data");
    }
}
