package io.github.dl4jlora.transformers.contrastive;

import org.deeplearning4j.nn.api.FwdPassType;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.graph.vertex.GraphVertex;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.io.NotSerializableException;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * A network whose training step takes a batch in parts, so that a batch of any size needs the memory of one part: the cached
 * gradients of Gao et al. 2021, arXiv:2101.06983. The loss may be one that compares all rows with each other, as that of in-batch
 * negatives does.
 *
 * <pre>
 * 1. each part forward             embeddings of all texts; activations are discarded
 * 2. the loss on all embeddings    score, and the gradient of each embedding
 * 3. each part forward again, and backward from the gradients of its embeddings; gradients of parameters are added up
 * </pre>
 *
 * <p>Score and gradients are those of the batch at once, and there is one update. A step takes a forward pass more, unless the
 * batch is one part. Both passes of a part see the same dropout. Texts are sorted by length, and each part is cut to its longest
 * text, so that a large batch has less padding than small ones.
 *
 * <pre>{@code
 * ComputationGraph tuned = LoRA.apply(encoder, config);
 * ComputationGraph cached = CachedNegatives.of(tuned, 64);     // 64 texts at a time: 32 pairs
 * cached.fit(batchesOf1024Pairs, epochs);
 * LoRAAdapter.of(tuned).save(folder);
 * }</pre>
 *
 * <p>All of DL4J's training works as for any network: {@code fit}, listeners, learning rate schedules, early stopping. It is the
 * same network in another coat: parameters, updater state, configuration, counts of iterations and whatever is switched at run
 * time are shared with the network that it was made of. Do not use both at once. A file that {@code ModelSerializer} writes of it
 * is that of the network, without parts. {@code score} takes parts too; {@code output} takes what it is given at once.
 */
public final class CachedNegatives extends ComputationGraph {

    private static final long serialVersionUID = 1L;

    /** To which the vertices belong: they look for inputs and masks there. */
    private final transient ComputationGraph shared;
    private final int texts;
    private final transient BatchLoss loss;
    private transient INDArray[] labels;
    private final transient GradientSum sum = new GradientSum();

    private CachedNegatives(ComputationGraph network, int texts) {
        super(network.getConfiguration());
        this.shared = network;
        this.texts = texts;
        this.loss = new BatchLoss(network);
        if (network.getFlattenedGradients() == null) {
            network.initGradientsView();
        }
        vertices = network.getVertices();
        verticesMap = new HashMap<>();
        for (GraphVertex vertex : vertices) {
            verticesMap.put(vertex.getVertexName(), network.getVertex(vertex.getVertexName()));
        }
        layers = network.getLayers();
        topologicalOrder = network.topologicalSortOrder();
        flattenedParams = network.params();
        flattenedGradients = network.getFlattenedGradients();
        initCalled = true;
        setUpdater(network.getUpdater());
        setListeners(network.getListeners());
    }

    /**
     * The same network, trained in parts.
     *
     * @param network with one output, a {@code LossLayer} on one vector for each row of the inputs
     * @param texts   rows of a part, at most: what memory holds of activations at once
     * @throws IllegalArgumentException if there is no row in a part, nothing trains, the output is another, batch normalisation
     *                                  trains, or backpropagation is truncated
     */
    public static CachedNegatives of(ComputationGraph network, int texts) {
        if (texts < 1) {
            throw new IllegalArgumentException("A part has " + texts + " texts, but must have 1 or more");
        }
        network.init();
        if (network.numParams() == 0) {
            throw new IllegalArgumentException("Nothing in the network trains. Adapt it with LoRA.apply(network, config) first");
        }
        return new CachedNegatives(network, texts);
    }

    /** {@return the texts of a part, at most} */
    public int getTexts() {
        return texts;
    }

    /** Of the network, too: its layers keep what a listener looks at. */
    @Override
    public void setListeners(Collection<TrainingListener> listeners) {
        List<TrainingListener> all = listeners == null ? List.of() : List.copyOf(listeners);
        super.setListeners(all);
        shared.setListeners(all);
    }

    @Override
    public void setInputs(INDArray... arrays) {
        super.setInputs(arrays);
        shared.setInputs(arrays);
    }

    @Override
    public void setInput(int input, INDArray array) {
        super.setInput(input, array);
        shared.setInput(input, array);
    }

    @Override
    public void setLayerMaskArrays(INDArray[] ofFeatures, INDArray[] ofLabels) {
        super.setLayerMaskArrays(ofFeatures, ofLabels);
        shared.setLayerMaskArrays(ofFeatures, ofLabels);
    }

    @Override
    public void clearLayerMaskArrays() {
        super.clearLayerMaskArrays();
        shared.clearLayerMaskArrays();
    }

    /** DL4J has no getter for these. */
    @Override
    public void setLabels(INDArray... arrays) {
        super.setLabels(arrays);
        labels = arrays;
    }

    @Override
    public void setLabel(int output, INDArray array) {
        super.setLabel(output, array);
        labels = new INDArray[]{array};
    }

    @Override
    public void computeGradientAndScore() {
        INDArray[] inputs = getInputs();
        INDArray[] ofBatch = labels;
        INDArray[] masks = getInputMaskArrays();
        INDArray[] labelMasks = getLabelMaskArrays();
        Parts parts = new Parts(configuration, inputs, masks, texts);
        if (parts.all().size() == 1) {
            super.computeGradientAndScore();
            return;
        }
        synchronizeIterEpochCounts();
        try {
            RandomStates states = new RandomStates();
            INDArray embeddings = embed(parts, true, states);
            Pair<Double, INDArray> found = loss.withGradient(embeddings, ofBatch[0], first(labelMasks));
            eachListener(listener -> listener.onForwardPass(this, Map.of(loss.below(), embeddings)));
            backward(parts, found.getSecond(), states);
            score = found.getFirst() / parts.rows() + calcRegularizationScore(true);
        } finally {
            setInputs(inputs);
            setLabels(ofBatch);
            setLayerMaskArrays(masks, labelMasks);
        }
        eachListener(listener -> listener.onBackwardPass(this));
    }

    private static INDArray first(INDArray[] masks) {
        return masks == null ? null : masks[0];
    }

    private void eachListener(Consumer<TrainingListener> call) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            getListeners().forEach(call);
        }
    }

    private INDArray embed(Parts parts, boolean training, RandomStates states) {
        INDArray all = null;
        for (Parts.Part part : parts.all()) {
            states.keep();
            try (MemoryWorkspace activations = workspaces(training).notifyScopeEntered(ArrayType.ACTIVATIONS)) {
                INDArray some = forward(parts, part, training);
                try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                    all = all != null ? all
                            : Nd4j.createUninitialized(some.dataType(), new long[]{parts.rows(), some.size(1)}, 'c');
                    for (int i = 0; i < part.rows().length; i++) {
                        all.putRow(part.rows()[i], some.getRow(i));
                    }
                }
            }
            forget();
        }
        return all;
    }

    /** {@return the embeddings of a part; whatever a backward pass needs is in the layers, and in an open workspace} */
    private INDArray forward(Parts parts, Parts.Part part, boolean training) {
        INDArray some;
        try {
            some = ffToLayerActivationsInWS(training, -1, getOutputLayerIndices(), FwdPassType.STANDARD, false,
                    parts.inputs(part), parts.masks(part), null, false).get(loss.below());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("In a part of the batch, the rows " + Arrays.toString(part.rows()) + ": "
                    + e.getMessage(), e);
        }
        if (some.rank() != 2 || some.size(0) != part.rows().length) {
            throw new IllegalStateException("Of " + part.rows().length + " texts, " + loss.below() + " makes an array of shape "
                    + Arrays.toString(some.shape()) + ", but a batch is trained in parts below a layer that makes a row of each");
        }
        return some;
    }

    private void backward(Parts parts, INDArray ofEmbeddings, RandomStates states) {
        int last = parts.all().size() - 1;
        loss.handingDown(() -> {
            for (int i = 0; i <= last; i++) {
                Parts.Part part = parts.all().get(i);
                states.again(i, () -> backward(parts, part, ofEmbeddings));
                sum.add(flattenedGradients, i == 0, i == last);
            }
        });
    }

    private void backward(Parts parts, Parts.Part part, INDArray ofEmbeddings) {
        try (MemoryWorkspace activations = workspaces(true).notifyScopeEntered(ArrayType.ACTIVATIONS)) {
            forward(parts, part, true);
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                // The loss layer destroys its labels.
                setLabels(Parts.rows(ofEmbeddings, part.rows()));
            }
            calcBackpropGradients(false, false);
        }
        forget();
    }

    private void forget() {
        for (GraphVertex vertex : vertices) {
            vertex.clear();
        }
    }

    private LayerWorkspaceMgr workspaces(boolean training) {
        WorkspaceMode mode = training ? configuration.getTrainingWorkspaceMode() : configuration.getInferenceWorkspaceMode();
        return mode == WorkspaceMode.NONE ? LayerWorkspaceMgr.noWorkspaces() : LayerWorkspaceMgr.builder()
                .with(ArrayType.ACTIVATIONS, WS_ALL_LAYERS_ACT, WS_ALL_LAYERS_ACT_CONFIG).build();
    }

    /** In parts, as training is. */
    @Override
    public double score(MultiDataSet batch, boolean training) {
        Parts parts = new Parts(configuration, batch.getFeatures(), batch.getFeaturesMaskArrays(), texts);
        if (parts.all().size() == 1) {
            return super.score(batch, training);
        }
        try {
            INDArray embeddings = embed(parts, training, new RandomStates());
            double sumOfRows = loss.sum(embeddings, batch.getLabels(0), first(batch.getLabelsMaskArrays()));
            return sumOfRows / parts.rows() + calcRegularizationScore(true);
        } finally {
            clearLayerMaskArrays();
            clearLayersStates();
        }
    }

    /** A copy with parameters and updater state of its own, which trains in parts too. */
    @Override
    public CachedNegatives clone() {
        ComputationGraph clone = super.clone();
        clone.getConfiguration().setIterationCount(getIterationCount());
        clone.getConfiguration().setEpochCount(getEpochCount());
        return new CachedNegatives(clone, texts);
    }

    @Override
    @SuppressWarnings("ReferenceEquality")
    public CachedNegatives convertDataType(DataType type) {
        ComputationGraph converted = super.convertDataType(type);
        return converted == this ? this : new CachedNegatives(converted, texts);
    }

    private Object writeReplace() throws NotSerializableException {
        throw new NotSerializableException("Write the network with ModelSerializer or LoRA.save, and train what was read with "
                + "CachedNegatives.of");
    }
}
