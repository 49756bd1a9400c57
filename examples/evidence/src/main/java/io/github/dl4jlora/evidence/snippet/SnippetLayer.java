package io.github.dl4jlora.evidence.snippet;

import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.samediff.SDLayerParams;
import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLayer;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;

/**
 * The low-rank path as anyone would write it first: alpha·x·A·B in SameDiff, with x {@code [n, nIn]}, A {@code [nIn, rank]} and B
 * {@code [rank, nOut]}. It uses nothing of the library.
 */
public final class SnippetLayer extends SameDiffLayer {

    static final String A = "A";
    static final String B = "B";

    private long nIn;
    private long nOut;
    private long rank;
    private double alpha;

    /** For JSON. */
    private SnippetLayer() {
    }

    SnippetLayer(long nIn, long nOut, long rank, double alpha) {
        this.nIn = nIn;
        this.nOut = nOut;
        this.rank = rank;
        this.alpha = alpha;
    }

    @Override
    public SDVariable defineLayer(SameDiff sameDiff, SDVariable x, Map<String, SDVariable> parameters, SDVariable mask) {
        return x.mmul(parameters.get(A)).mmul(parameters.get(B)).mul(alpha);
    }

    @Override
    public void defineParameters(SDLayerParams parameters) {
        parameters.addWeightParam(A, nIn, rank);
        parameters.addWeightParam(B, rank, nOut);
    }

    /** The caller sets A. */
    @Override
    public void initializeParameters(Map<String, INDArray> parameters) {
        parameters.values().forEach(parameter -> parameter.assign(0));
    }

    @Override
    public char paramReshapeOrder(String name) {
        return 'f';
    }

    @Override
    public InputType getOutputType(int layer, InputType input) {
        return InputType.feedForward(nOut);
    }

    public long getNIn() {
        return nIn;
    }

    public void setNIn(long nIn) {
        this.nIn = nIn;
    }

    public long getNOut() {
        return nOut;
    }

    public void setNOut(long nOut) {
        this.nOut = nOut;
    }

    public long getRank() {
        return rank;
    }

    public void setRank(long rank) {
        this.rank = rank;
    }

    public double getAlpha() {
        return alpha;
    }

    public void setAlpha(double alpha) {
        this.alpha = alpha;
    }
}
