package io.github.dl4jlora.internal.engine;

import io.github.dl4jlora.internal.stock.SameDiffGradients;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.samediff.SameDiffLayer;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.Arrays;
import java.util.Map;
import java.util.Objects;

/**
 * DL4J's runtime of a SameDiff layer with what it lacks: gradients that are not doubled, a setParam that sets,
 * dropout, masks, a regularization score, clone.
 */
public final class LowRankRuntime extends SameDiffLayer {

    /** A runtime without parameters yet. */
    public LowRankRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        applyDropOutIfNecessary(training, workspaces);
        long nIn = Objects.requireNonNull(paramTable.get(Variant.A)).size(0);
        if (input.rank() != 2 || input.size(1) != nIn) {
            throw new DL4JInvalidInputException("Input of shape " + Arrays.toString(input.shape())
                    + " does not match [minibatch, "
                    + nIn + "]. Missing preprocessor or wrong input type? " + layerId());
        }
        input = input.castTo(dataType);
        INDArray output = super.activate(training, workspaces);
        if (maskArray != null) {
            applyMask(output);
        }
        return output;
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        INDArray corrected = epsilon.mul(SameDiffGradients.correction());
        if (maskArray != null) {
            applyMask(corrected);
        }
        boolean first = sameDiff == null || !sameDiff.hasGradientFunction();
        Pair<Gradient, INDArray> result = first
                ? SameDiffGradients.quietly(() -> super.backpropGradient(corrected, workspaces))
                : super.backpropGradient(corrected, workspaces);
        backpropDropOutIfPresent(result.getSecond());
        return result;
    }

    /** Lends the input of another layer. That layer got it where DL4J wants it, in a workspace that may be closed by now. */
    void lendInput(INDArray x) {
        input = x;
        dropoutApplied = false;
    }

    /** Says where to write gradients, when another layer owns A and B. */
    void lendGradients(Map<String, INDArray> views) {
        gradTable = views;
    }

    @Override
    public void setParam(String key, INDArray value) {
        super.setParam(key, value);
        Objects.requireNonNull(paramTable.get(key)).assign(value);
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        double sum = 0;
        for (Map.Entry<String, INDArray> parameter : paramTable.entrySet()) {
            for (Regularization regularization : layerConf().getRegularizationByParam(parameter.getKey())) {
                sum += regularization.score(parameter.getValue(), getIterationCount(), getEpochCount());
            }
        }
        return sum;
    }

    @Override
    public Layer clone() {
        INDArray copy = params.dup();
        LowRankRuntime clone = new LowRankRuntime(conf.clone(), dataType);
        clone.setIndex(index);
        clone.setParamsViewArray(copy);
        clone.setParamTable(layerConf().initializer().init(clone.conf(), copy, false));
        return clone;
    }
}
