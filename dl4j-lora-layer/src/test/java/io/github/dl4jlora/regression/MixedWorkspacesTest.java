package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * After a step of a graph that trains in workspaces and predicts without them, DL4J leaves a closed workspace as the thread's
 * present one. ND4J refuses to read arrays that were made in it.
 */
class MixedWorkspacesTest {

    private static final DataSet DATA = new DataSet(Nd4j.linspace(-1, 1, 60, DataType.FLOAT).reshape(3, 4, 5),
            Nd4j.ones(DataType.FLOAT, 3, 2, 5).divi(2));

    @AfterEach
    void destroyWorkspaces() {
        leaveClosedWorkspace();
        Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
    }

    private static void leaveClosedWorkspace() {
        Nd4j.getMemoryManager().setCurrentWorkspace(null);
    }

    private static ComputationGraph base(WorkspaceMode training, WorkspaceMode inference) {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Adam(0.1))
                .trainingWorkspaceMode(training).inferenceWorkspaceMode(inference).graphBuilder().addInputs("x")
                .addLayer("lstm", new LSTM.Builder().nIn(4).nOut(3).build(), "x")
                .addLayer("out", new RnnOutputLayer.Builder().nIn(3).nOut(2).activation(Activation.SOFTMAX).build(), "lstm")
                .setOutputs("out").build());
    }

    private static ComputationGraph trained(WorkspaceMode training, WorkspaceMode inference) {
        ComputationGraph tuned = LoRA.apply(base(training, inference), LoRAConfig.builder().rank(2).targets("lstm", "out")
                .build());
        for (int step = 0; step < 7; step++) {
            tuned.fit(DATA);
        }
        leaveClosedWorkspace();
        return tuned;
    }

    @ParameterizedTest
    @CsvSource({"ENABLED, NONE", "NONE, ENABLED", "ENABLED, ENABLED"})
    void anAdaptedGraphTrainsAndIsSaved(WorkspaceMode training, WorkspaceMode inference, @TempDir Path folder)
            throws IOException {
        INDArray expected = trained(WorkspaceMode.NONE, WorkspaceMode.NONE).params();

        ComputationGraph tuned = trained(training, inference);

        assertThat(tuned.params()).isEqualTo(expected);
        Path adapter = folder.resolve("adapter");
        LoRAAdapter.of(tuned).save(adapter);
        ComputationGraph again = LoRA.apply(base(WorkspaceMode.NONE, WorkspaceMode.NONE), LoRAAdapter.load(adapter));
        assertThat(again.params()).isEqualTo(expected);
        INDArray output = again.outputSingle(DATA.getFeatures());
        assertThat(tuned.outputSingle(DATA.getFeatures())).isEqualTo(output);
        assertThat(LoRA.merge(tuned).outputSingle(DATA.getFeatures()).equalsWithEps(output, 1e-5)).isTrue();
        assertThat(LoRA.summary(tuned).toString()).contains("lstm");
    }
}
