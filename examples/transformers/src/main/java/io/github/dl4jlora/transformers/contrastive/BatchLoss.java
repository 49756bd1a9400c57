package io.github.dl4jlora.transformers.contrastive;

import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.layers.normalization.BatchNormalization;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.memory.conf.WorkspaceConfiguration;
import org.nd4j.linalg.api.memory.enums.AllocationPolicy;
import org.nd4j.linalg.api.memory.enums.LearningPolicy;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.ILossFunction;

import java.util.List;
import java.util.function.Supplier;

/** The loss of a network's only output, on all rows of a batch at once. */
final class BatchLoss {

    private static final String WORKSPACE = "WS_LOSS_OF_BATCH";
    private static final WorkspaceConfiguration ONCE = WorkspaceConfiguration.builder().initialSize(0)
            .policyLearning(LearningPolicy.FIRST_LOOP).policyAllocation(AllocationPolicy.STRICT).build();

    private final LossLayer layer;
    private final String below;

    /** @throws IllegalArgumentException if the network cannot be trained in parts */
    BatchLoss(ComputationGraph network) {
        List<String> outputs = network.getConfiguration().getNetworkOutputs();
        GraphVertex output = network.getVertex(outputs.get(0));
        if (outputs.size() != 1 || !output.hasLayer()
                || !(output.getLayer().conf().getLayer() instanceof LossLayer loss)) {
            throw new IllegalArgumentException("The network's outputs are " + outputs + ", but a batch is trained in parts below "
                    + "one output that is a LossLayer, such as new LossLayer.Builder(new InBatchNegatives(20)).build(): let a "
                    + "layer with weights be a DenseLayer below it");
        }
        if (network.getConfiguration().getBackpropType() == BackpropType.TruncatedBPTT) {
            throw new IllegalArgumentException("The network's backpropagation is truncated, which that of a part of a batch is "
                    + "not: set backpropType(BackpropType.Standard)");
        }
        for (GraphVertex vertex : network.getVertices()) {
            if (vertex.getLayer() instanceof BatchNormalization) {
                throw new IllegalArgumentException("Layer " + vertex.getVertexName() + " normalises by all rows of a batch, and "
                        + "would see one part at a time: freeze it, or train without parts");
            }
        }
        this.layer = loss;
        this.below = network.getConfiguration().getVertexInputs().get(outputs.get(0)).get(0);
    }

    /** {@return the name of what makes the embeddings} */
    String below() {
        return below;
    }

    /** {@return the sum of the losses of all rows, and its gradient with respect to the embeddings} */
    Pair<Double, INDArray> withGradient(INDArray embeddings, INDArray labels, INDArray mask) {
        return inPassing(() -> {
            Pair<Double, INDArray> found = layer.getLossFn().computeGradientAndScore(labels, embeddings,
                    layer.getActivationFn(), mask, false);
            return new Pair<>(found.getFirst(), found.getSecond().dup('c').detach());
        });
    }

    /** {@return the sum of the losses of all rows} */
    double sum(INDArray embeddings, INDArray labels, INDArray mask) {
        return inPassing(() -> layer.getLossFn().computeScore(labels, embeddings, layer.getActivationFn(), mask, false));
    }

    /** What a loss compares may be large, and is not there any more when the first part goes back. */
    private static <T> T inPassing(Supplier<T> loss) {
        try (MemoryWorkspace comparing = Nd4j.getWorkspaceManager().getAndActivateWorkspace(ONCE, WORKSPACE)) {
            return loss.get();
        } finally {
            Nd4j.getWorkspaceManager().getWorkspaceForCurrentThread(WORKSPACE).destroyWorkspace();
        }
    }

    /** Does backward passes that begin with what the labels of a part are: gradients of its embeddings. */
    void handingDown(Runnable passes) {
        ILossFunction own = layer.getLossFn();
        layer.setLossFn(new HandedGradient());
        try {
            passes.run();
        } finally {
            layer.setLossFn(own);
        }
    }
}
