package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.wrapper.BaseWrapperLayer;
import org.nd4j.linalg.api.ndarray.INDArray;

/** What DL4J gets from a layer around a stock one of which nothing trains: no gradient, no score, and nothing is changed. */
abstract class LayerAtRest extends BaseWrapperLayer {

    LayerAtRest(Layer stock) {
        super(stock);
    }

    @Override
    public INDArray getGradientsViewArray() {
        return null;
    }

    @Override
    public void setBackpropGradientsViewArray(INDArray gradients) {
        // Embedded parameters keep their slot at zero: the stock layer never gets to write it.
    }

    @Override
    public Gradient gradient() {
        return new DefaultGradient();
    }

    @Override
    public double calcRegularizationScore(boolean backpropParamsOnly) {
        return 0;
    }

    @Override
    public boolean updaterDivideByMinibatch(String key) {
        return false;
    }

    @Override
    public void update(Gradient gradient) {
        // Frozen.
    }

    @Override
    public void update(INDArray gradient, String key) {
        // Frozen.
    }

    @Override
    public void applyConstraints(int iteration, int epoch) {
        // Frozen.
    }

    @Override
    public void setEpochCount(int epoch) {
        // The stock layer stays in its first epoch: DL4J's OCNNOutputLayer sets a parameter of its own when one ends.
    }

    @Override
    public boolean isPretrainLayer() {
        return false;
    }

    @Override
    public void setParamsViewArray(INDArray view) {
        // The stock layer was built on its values; there is nothing in the vector to point at.
    }
}
