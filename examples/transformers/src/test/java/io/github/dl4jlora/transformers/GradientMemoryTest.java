package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.NoOp;

import java.util.List;
import java.util.concurrent.CompletableFuture;

import static org.assertj.core.api.Assertions.assertThat;

/** Gradients of attention are given back when queries, keys and values have had their turn, not when the token ids have. */
class GradientMemoryTest {

    private static final String ATTENTION = "encoder.layer.1.attention.self";

    private static ComputationGraph adapted(int layers) {
        Tiny tiny = new Tiny(TransformerShape.bert(Tiny.VOCABULARY, 7, 6, 8, layers, 2), Head.meanPooling());
        return LoRA.apply(tiny.network(DataType.FLOAT, new NoOp()), LoRAConfig.builder().rank(2)
                .targets("encoder.*(query|value)").updater(new Adam(1e-2)).build());
    }

    /** The workspaces that a step holds gradients of outputs in. They belong to a thread, so each step has one of its own. */
    private static long workspacesOfAStep(int layers) {
        return CompletableFuture.supplyAsync(() -> {
            adapted(layers).fit(Tiny.meanPooling().batch(DataType.FLOAT));
            return Nd4j.getWorkspaceManager().getAllWorkspacesForCurrentThread().stream().map(MemoryWorkspace::getId)
                    .filter(id -> id.startsWith("WS_LAYER_ACT_")).count();
        }, run -> new Thread(run).start()).join();
    }

    @Test
    void aDeeperNetworkHoldsNoMoreOfThem() {
        assertThat(workspacesOfAStep(2)).isPositive();
        assertThat(workspacesOfAStep(7)).isEqualTo(workspacesOfAStep(2));
    }

    @Test
    void aNetworkAtRestNamesTheIdsAmongTheInputsOfAVertex() {
        ComputationGraph graph = adapted(2);
        graph.fit(Tiny.meanPooling().batch(DataType.FLOAT));
        assertThat(graph.getVertex(ATTENTION).getInputVertices()).hasSize(4);
        graph.output(Tiny.meanPooling().ids(DataType.FLOAT));
        assertThat(graph.getVertex(ATTENTION).getInputVertices()).hasSize(4);
    }

    @Test
    void whatAStepLeavesCanBeSplitByDL4JsTransferLearning() {
        Tiny tiny = new Tiny(TransformerShape.bert(Tiny.VOCABULARY, 7, 6, 8, 3, 2), Head.meanPooling());
        ComputationGraph graph = tiny.network(DataType.FLOAT, new Adam(1e-2));
        graph.fit(tiny.batch(DataType.FLOAT));
        INDArray expected = graph.outputSingle(tiny.ids(DataType.FLOAT));
        TransferLearningHelper helper = new TransferLearningHelper(graph, "encoder.layer.0.output.LayerNorm");
        MultiDataSet features = helper.featurize(tiny.batch(DataType.FLOAT));
        ComputationGraph above = helper.unfrozenGraph();
        // In the order of their names, which is not that of the graph's inputs.
        List<String> names = above.getConfiguration().getNetworkInputs().stream().sorted().toList();
        assertThat(names).containsExactly("encoder.layer.0.output.LayerNorm", Transformer.INPUT_IDS);
        INDArray[] inputs = above.getConfiguration().getNetworkInputs().stream()
                .map(name -> features.getFeatures(names.indexOf(name))).toArray(INDArray[]::new);
        assertThat(above.outputSingle(inputs)).isEqualTo(expected);
    }

    @Test
    void aSummaryIsTheSameWhileInputsAreHeld() {
        ComputationGraph graph = adapted(2);
        InputType ids = InputType.feedForward(5);
        String atRest = graph.summary(ids);
        graph.feedForward(new INDArray[]{Tiny.meanPooling().ids(DataType.FLOAT)}, true, false);
        assertThat(graph.summary(ids)).isEqualTo(atRest);
    }
}
