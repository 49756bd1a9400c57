package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.adapted.OutputConfiguration;
import io.github.dl4jlora.internal.engine.KeptPass.Kept;
import io.github.dl4jlora.internal.kernel.LabelledSteps;
import io.github.dl4jlora.internal.kernel.OutlivingArrays;
import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.api.layers.IOutputLayer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.TimeSeriesUtils;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * Runs an adapted output layer. Score, gradient and masks follow DL4J's BaseOutputLayer and RnnOutputLayer.
 * Sequences {@code [minibatch, size, steps]} are handled as rows {@code [minibatch · steps, size]}, as there.
 *
 * <p>DL4J asks for the gradient first and for the score of the same input after it. The pre-activation serves both, so both
 * belong to the same dropout.
 */
public final class DenseOutputRuntime extends DenseRuntime implements IOutputLayer {

    private @Nullable INDArray labels;
    /** As DL4J gave it; for sequences, {@link #maskArray} is made of it. */
    private @Nullable INDArray givenMask;
    private boolean isActivating;

    /** A runtime that is not on a vector yet: see {@link KernelRuntime#on}. */
    public DenseOutputRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    KernelRuntime copy(NeuralNetConfiguration copiedConf) {
        return new DenseOutputRuntime(copiedConf, dataType);
    }

    private OutputConfiguration output() {
        return (OutputConfiguration) layerConf();
    }

    private boolean isSequence() {
        return output().sequenceFormat() != null;
    }

    /**
     * The labels' order, even if BLAS is faster with the other: if orders differ, a loss costs several times as much per value.
     */
    @Override
    char resultOrder(long rows) {
        return 'c';
    }

    /** Runs an action while the layer's input is replaced by the steps of its sequences as rows. */
    private <T> T onRows(INDArray rows, Supplier<T> action) {
        INDArray sequence = input;
        input = rows;
        try {
            return action.get();
        } finally {
            input = sequence;
        }
    }

    @Override
    protected INDArray preOutput(boolean training, LayerWorkspaceMgr workspaces) {
        if (!isSequence() || input.rank() == 2) {
            return adapter().switches().isDisabled() ? stockPreOutput(training, workspaces)
                    : super.preOutput(training, workspaces);
        }
        return onRows(rows(input, workspaces, training ? ArrayType.ACTIVATIONS : ArrayType.FF_WORKING_MEM),
                () -> preOutput(training, workspaces));
    }

    /** As DL4J does: in the output of a sequence, a mask that is a weight counts once, in the gradient also before it. */
    @Override
    boolean masksPreActivation() {
        return !isActivating;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        if (!isSequence()) {
            return super.activate(training, workspaces);
        }
        INDArray sequence = LabelledSteps.requireSequence(input, layerId());
        return onRows(rows(sequence, workspaces, ArrayType.FF_WORKING_MEM), () -> {
            INDArray z;
            isActivating = true;
            try {
                z = preOutput(training, workspaces);
            } finally {
                isActivating = false;
            }
            INDArray activation = layerConf().getActivationFn().getActivation(z, training);
            if (maskArray != null) {
                applyMask(activation);
            }
            return steps(activation, sequence.size(0), workspaces, ArrayType.ACTIVATIONS);
        });
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces) {
        adapter().switches().requireTrainable();
        assertInputSet(true);
        if (!isSequence()) {
            return backpropLoss(workspaces);
        }
        INDArray sequence = labelledSequence();
        return onRows(rows(sequence, workspaces, ArrayType.ACTIVATIONS), () -> {
            Pair<Gradient, INDArray> result = backpropLoss(workspaces);
            if (result.getSecond() != null) {
                result.setSecond(steps(result.getSecond(), sequence.size(0), workspaces, ArrayType.ACTIVATION_GRAD));
            }
            return result;
        });
    }

    private Pair<Gradient, INDArray> backpropLoss(LayerWorkspaceMgr workspaces) {
        INDArray preActivation = preOutput(true, workspaces);
        // Losses may let the activation overwrite what they are given. In a backward pass, DL4J keeps activations for the layer's
        // own pass only; this copy has to outlive that pass, and is kept where dropped inputs are.
        INDArray copy = OutlivingArrays.in(workspaces).dup(ArrayType.INPUT, preActivation, preActivation.ordering());
        INDArray delta = output().lossFunction().computeGradient(labelRows(workspaces, ArrayType.BP_WORKING_MEM), preActivation,
                layerConf().getActivationFn(), maskArray);
        Pair<Gradient, INDArray> result = backpropDelta(delta, workspaces);
        kept().put(Kept.UNSCORED_Z, copy);
        return result;
    }

    private INDArray labelledSequence() {
        return LabelledSteps.require(input, Objects.requireNonNull(labels), isChannelsLast(), layerId());
    }

    private boolean isChannelsLast() {
        return output().sequenceFormat() == RNNFormat.NWC;
    }

    private INDArray rows(INDArray sequence, LayerWorkspaceMgr workspaces, ArrayType type) {
        INDArray ncw = isChannelsLast() ? sequence.permute(0, 2, 1) : sequence;
        return TimeSeriesUtils.reshape3dTo2d(ncw.castTo(dataType), workspaces, type);
    }

    private INDArray steps(INDArray rows, long minibatch, LayerWorkspaceMgr workspaces, ArrayType type) {
        INDArray ncw = TimeSeriesUtils.reshape2dTo3d(rows, minibatch, workspaces, type);
        return isChannelsLast() ? ncw.permute(0, 2, 1) : ncw;
    }

    private INDArray labelRows(LayerWorkspaceMgr workspaces, ArrayType type) {
        INDArray given = Objects.requireNonNull(labels);
        return given.rank() == 3 ? rows(given, workspaces, type) : given;
    }

    @Override
    public double computeScore(double regularization, boolean training, LayerWorkspaceMgr workspaces) {
        requireInputAndLabels();
        INDArray preActivation = training && kept().has(Kept.UNSCORED_Z) ? kept().get(Kept.UNSCORED_Z)
                : preOutput(training, workspaces);
        kept().put(Kept.UNSCORED_Z, null);
        double sum = output().lossFunction().computeScore(labelRows(workspaces, ArrayType.FF_WORKING_MEM), preActivation,
                layerConf().getActivationFn(), maskArray, false);
        score = (conf().isMiniBatch() ? sum / getInputMiniBatchSize() : sum) + regularization;
        return score;
    }

    @Override
    public INDArray computeScoreForExamples(double regularization, LayerWorkspaceMgr workspaces) {
        requireInputAndLabels();
        INDArray scores = output().lossFunction().computeScoreArray(labelRows(workspaces, ArrayType.FF_WORKING_MEM),
                preOutput(false, workspaces), layerConf().getActivationFn(), maskArray);
        if (isSequence()) {
            scores = TimeSeriesUtils.reshapeVectorToTimeSeriesMask(scores, (int) input.size(0)).sum(true, 1);
        }
        if (regularization != 0) {
            scores.addi(regularization);
        }
        return isSequence() ? scores : workspaces.leverageTo(ArrayType.ACTIVATIONS, scores);
    }

    private void requireInputAndLabels() {
        if (input == null || labels == null) {
            throw new IllegalStateException("Cannot calculate score without input and labels " + layerId());
        }
        if (isSequence()) {
            labelledSequence();
        }
    }

    @Override
    protected void applyMask(INDArray to) {
        if (maskArray.isColumnVectorOrScalar()) {
            to.muliColumnVector(maskArray.castTo(to.dataType()));
        } else if (Arrays.equals(to.shape(), maskArray.shape())) {
            to.muli(maskArray.castTo(to.dataType()));
        } else {
            throw new IllegalStateException("Invalid mask array: per-example masks are column vectors, per-output masks have the "
                    + "shape of the output. Mask " + Arrays.toString(maskArray.shape()) + ", output "
                    + Arrays.toString(to.shape()) + " " + layerId());
        }
    }

    /** A graph masks the gradient with the features' mask, and takes that away before it asks for the score. */
    @SuppressWarnings("ReferenceEquality")
    private void given(@Nullable INDArray mask) {
        if (mask != givenMask) {
            kept().put(Kept.UNSCORED_Z, null);
        }
        givenMask = mask;
    }

    @Override
    public void setMaskArray(@Nullable INDArray mask) {
        given(mask);
        if (mask == null || !isSequence()) {
            maskArray = mask;
        } else if (mask.rank() == 2) {
            maskArray = TimeSeriesUtils.reshapeTimeSeriesMaskToVector(mask, LayerWorkspaceMgr.noWorkspacesImmutable(),
                    ArrayType.INPUT);
        } else if (mask.rank() == 3) {
            maskArray = TimeSeriesUtils.reshape3dTo2d(mask, LayerWorkspaceMgr.noWorkspacesImmutable(), ArrayType.INPUT);
        } else {
            throw new UnsupportedOperationException("Invalid mask array: must be rank 2 or 3, but has shape "
                    + Arrays.toString(mask.shape()) + " " + layerId());
        }
    }

    @Override
    public @Nullable Pair<INDArray, MaskState> feedForwardMaskArray(@Nullable INDArray mask, MaskState state, int minibatch) {
        // RnnOutputLayer masks by its labels' mask alone, and so does this layer; OutputLayer passes masks on like any layer.
        if (isSequence()) {
            return null;
        }
        given(mask);
        return super.feedForwardMaskArray(mask, state, minibatch);
    }

    @Override
    public Type type() {
        return isSequence() ? Type.RECURRENT : Type.FEED_FORWARD;
    }

    @Override
    public boolean needsLabels() {
        return true;
    }

    @Override
    public void setLabels(@Nullable INDArray labels) {
        this.labels = labels;
    }

    @Override
    public @Nullable INDArray getLabels() {
        return labels;
    }

    @Override
    public int numLabels() {
        return (int) Objects.requireNonNull(labels).size(1);
    }

    @Override
    public double f1Score(DataSet data) {
        return f1Score(data.getFeatures(), data.getLabels());
    }

    @Override
    public double f1Score(INDArray examples, INDArray labels) {
        Evaluation evaluation = new Evaluation();
        evaluation.eval(labels, activate(examples, false, LayerWorkspaceMgr.noWorkspacesImmutable()));
        return evaluation.f1();
    }

    @Override
    public int[] predict(INDArray examples) {
        return activate(examples, false, LayerWorkspaceMgr.noWorkspacesImmutable()).argMax(1).toIntVector();
    }

    @Override
    public List<String> predict(DataSet data) {
        List<String> names = new ArrayList<>();
        for (int index : predict(data.getFeatures())) {
            names.add(data.getLabelName(index));
        }
        return names;
    }

    @Override
    public void fit(DataSetIterator iterator) {
        throw new UnsupportedOperationException("Fit the network, not its output layer " + layerId());
    }

    @Override
    public void fit(INDArray examples, INDArray labels) {
        throw new UnsupportedOperationException("Fit the network, not its output layer " + layerId());
    }

    @Override
    public void fit(DataSet data) {
        throw new UnsupportedOperationException("Fit the network, not its output layer " + layerId());
    }

    @Override
    public void fit(INDArray examples, int[] labels) {
        throw new UnsupportedOperationException("Fit the network, not its output layer " + layerId());
    }

    @Override
    public void clear() {
        super.clear();
        labels = null;
        givenMask = null;
    }
}
