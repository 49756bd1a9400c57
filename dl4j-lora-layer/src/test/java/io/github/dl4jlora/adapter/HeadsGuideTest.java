package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** Runs the code on the guide's page about new classes, and what other pages say of state; {@link GuideTest} looks here. */
class HeadsGuideTest {

    private static final int CLASSES = 5;
    private static final int WIDTH = Networks.HIDDEN;

    private final ComputationGraph base = Networks.trainedGraph();
    private final INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);
    private final DataSetIterator iterator = new ExistingDataSetIterator(List.of(new DataSet(
            Networks.random(DataType.FLOAT, 6, 8, Networks.IN), labels(CLASSES))));

    private static INDArray labels(int classes) {
        INDArray labels = Nd4j.zeros(DataType.FLOAT, 8, classes);
        for (int row = 0; row < 8; row++) {
            labels.putScalar(row, row % classes, 1);
        }
        return labels;
    }

    private static ComputationGraph withNewHead(ComputationGraph base) {
        ComputationGraph withNewHead = new TransferLearning.GraphBuilder(base)
                .nOutReplace("out", 5, WeightInit.XAVIER)
                .build();
        return withNewHead;
    }

    @Test
    void aNewHeadBeforeAdapting(@TempDir Path folder) throws IOException {
        ComputationGraph withNewHead = withNewHead(base);
        LoRAConfig config = LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .trainable("out")
                .updater(new Adam(1e-3))
                .build();
        ComputationGraph tuned = LoRA.apply(withNewHead, config);
        tuned.fit(iterator, 3);
        INDArray expected = tuned.outputSingle(input);

        LoRAAdapter.of(tuned).save(folder);
        ComputationGraph again = LoRA.apply(withNewHead(base), LoRAAdapter.load(folder));

        assertThat(tuned.getLayer("out").getParam("W")).isNotEqualTo(withNewHead.getLayer("out").getParam("W"));
        assertThat(again.outputSingle(input)).isEqualTo(expected);
        LoRAAdapter saved = LoRAAdapter.load(folder);
        assertThatIllegalArgumentException().isThrownBy(() -> LoRA.apply(base, saved)).as("on the base with its old head")
                .withMessageContaining("Layer \"out\": the adapter's weight has shape [5, ").withMessageContaining("nOutReplace");
    }

    @Test
    void aWiderHeadKnowsWhatTheOldOneKnew() {
        ComputationGraph withNewHead = withNewHead(base);
        for (String key : new String[] {"W", "b"}) {
            INDArray old = base.getLayer("out").getParam(key);
            INDArray wide = withNewHead.getLayer("out").getParam(key);
            wide.get(NDArrayIndex.all(), NDArrayIndex.interval(0, old.columns())).assign(old);
        }

        INDArray before = base.outputSingle(input);
        INDArray after = withNewHead.outputSingle(input).get(NDArrayIndex.all(), NDArrayIndex.interval(0, Networks.OUT));
        assertThat(after.divColumnVector(after.sum(true, 1)).equalsWithEps(before, 1e-5)).isTrue();
    }

    @Test
    void aNewHeadOnANetworkThatIsAdapted() throws IOException {
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).updater(new Adam(1e-3)).build());
        tuned.fit(Networks.data(DataType.FLOAT, 8, 1));
        OutputLayer head = new OutputLayer.Builder(LossFunction.MCXENT).nIn(WIDTH).nOut(CLASSES)
                .activation(Activation.SOFTMAX).updater(new Adam(1e-3)).build();
        ComputationGraph further = new TransferLearning.GraphBuilder(tuned)
                .removeVertexAndConnections("out")
                .addLayer("head", head, "fc2").setOutputs("head")
                .build();
        INDArray learned = tuned.getLayer("fc1").getParam("B");
        assertThat(further.getLayer("fc1").getParam("B")).isEqualTo(learned);

        further.fit(iterator, 3);

        assertThat(further.getLayer("fc1").getParam("B")).isNotEqualTo(learned);
        assertThat(LoRA.merge(further).outputSingle(input).equalsWithEps(further.outputSingle(input), 1e-5)).isTrue();
        assertThat(LoRAAdapter.of(further).trainedLayers()).containsExactly("head");
    }

    @Test
    void theSameOfAMultiLayerNetwork(@TempDir Path folder) throws IOException {
        Path path = folder.resolve("base.zip");
        ModelSerializer.writeModel(Networks.trainedLayers(), path.toFile(), false);
        MultiLayerNetwork base = LoRA.restoreMultiLayerNetwork(path, false);
        MultiLayerNetwork withNewHead = new TransferLearning.Builder(base)
                .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(7).build())
                .nOutReplace(2, 5, WeightInit.XAVIER)
                .build();

        MultiLayerNetwork tuned = LoRA.apply(withNewHead, LoRAConfig.builder().rank(2).trainable("out").build());
        tuned.fit(iterator, 1);

        assertThat(tuned.output(input).columns()).isEqualTo(CLASSES);
    }

    @Test
    void trainingGoesOnWhereACheckpointEnded(@TempDir Path folder) throws IOException {
        Path checkpoint = folder.resolve("checkpoint.zip");
        DataSetIterator iterator = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 8, 1)));
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).updater(new Adam(1e-3)).build());
        tuned.fit(iterator, 2);
        ModelSerializer.writeModel(tuned, checkpoint.toFile(), true);
        ComputationGraph resumed = LoRA.restoreComputationGraph(checkpoint, true);
        LoRA.attach(resumed, base);
        resumed.fit(iterator, 2);
        tuned.fit(iterator, 2);

        assertThat(resumed.getIterationCount()).isEqualTo(4);
        assertThat(resumed.params()).isEqualTo(tuned.params());
    }

    @Test
    void stateIsKeptFromStepToStep() {
        MultiLayerNetwork layers = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(3).list()
                .layer(new LSTM.Builder().name("lstm").nIn(4).nOut(6).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MCXENT).name("out").nIn(6).nOut(3)
                        .activation(Activation.SOFTMAX).build()).build());
        layers.init();
        ComputationGraph tuned = LoRA.apply(layers.toComputationGraph(), LoRAConfig.builder().rank(2).targets("0").build());
        tuned.params().assign(Networks.random(DataType.FLOAT, 8, 1, tuned.numParams()));
        INDArray sequence = Networks.random(DataType.FLOAT, 9, 2, 4, 2);
        INDArray step = sequence.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(0)).dup();
        INDArray next = sequence.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(1)).dup();

        tuned.rnnClearPreviousState();
        INDArray first = tuned.rnnTimeStep(step)[0];
        INDArray second = tuned.rnnTimeStep(next)[0];

        INDArray whole = tuned.outputSingle(sequence);
        assertThat(first.equalsWithEps(whole.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(0)), 1e-5)).isTrue();
        assertThat(second.equalsWithEps(whole.get(NDArrayIndex.all(), NDArrayIndex.all(), NDArrayIndex.point(1)), 1e-5)).isTrue();
        assertThat(LoRA.unload(tuned).outputSingle(sequence)).isNotEqualTo(whole);
    }
}
