package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.LabelledSteps;
import io.github.dl4jlora.internal.kernel.OwnArithmetic;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.BaseOutputLayer;
import org.deeplearning4j.nn.layers.OutputLayer;
import org.deeplearning4j.nn.layers.recurrent.RnnOutputLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.deeplearning4j.util.TimeSeriesUtils;
import org.jspecify.annotations.Nullable;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * DL4J's output layers on matrices that are kept in fewer bits: scores, labels and masks are DL4J's, products with W are here.
 */
final class FrozenOutputs {

    private final FrozenMatrices weights;
    private boolean stock;

    private FrozenOutputs(FrozenMatrices weights) {
        this.weights = weights;
    }

    /**
     * @param hollow an OutputLayer or RnnOutputLayer
     */
    static Layer of(Layer hollow, FrozenMatrices weights) {
        BaseOutputLayer<?> output = hollow.getClass() == OutputLayer.class ? new Rows((OutputLayer) hollow, weights)
                : new Sequences((RnnOutputLayer) hollow, weights);
        output.setListeners(hollow.getListeners());
        output.setIndex(hollow.getIndex());
        return output;
    }

    /** z = x·W + b, in DL4J's order. */
    private INDArray product(INDArray input, String layerId, LayerWorkspaceMgr workspaces) {
        INDArray x = DenseArithmetic.checkedInput(input, weights.matrix(), weights.type(), layerId);
        INDArray z = workspaces.createUninitialized(ArrayType.ACTIVATIONS, weights.type(),
                new long[] {x.size(0), weights.matrix().columns()}, 'c');
        if (stock) {
            x.mmuli(weights.matrix().lent(), z);
        } else {
            weights.matrix().times(x, z);
        }
        if (weights.bias() != null) {
            DenseArithmetic.addBias(z, weights.bias());
        }
        return z;
    }

    /** The gradient of the layer's loss for the layer's input, in DL4J's order. */
    private INDArray backward(org.deeplearning4j.nn.conf.layers.BaseOutputLayer conf, INDArray labels, INDArray z,
                              @Nullable INDArray mask, LayerWorkspaceMgr workspaces) {
        INDArray delta = conf.getLossFn().computeGradient(labels, z, conf.getActivationFn(), mask);
        INDArray dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, weights.type(),
                new long[] {delta.size(0), weights.matrix().rows()}, 'c');
        weights.matrix().timesTransposed(delta, dx);
        return dx;
    }

    private static final class Rows extends OutputLayer implements OwnArithmetic {

        private final FrozenOutputs products;

        Rows(OutputLayer hollow, FrozenMatrices weights) {
            super(hollow.conf(), weights.type());
            products = new FrozenOutputs(weights);
        }

        @Override
        public void setStock(boolean stock) {
            products.stock = stock;
        }

        @Override
        protected INDArray preOutput(boolean training, LayerWorkspaceMgr workspaces) {
            assertInputSet(false);
            INDArray z = products.product(input, layerId(), workspaces);
            if (maskArray != null) {
                applyMask(z);
            }
            return z;
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces) {
            return new Pair<>(new DefaultGradient(), products.backward(layerConf(),
                    getLabels2d(workspaces, ArrayType.BP_WORKING_MEM), preOutput(true, workspaces), maskArray, workspaces));
        }
    }

    /** Sequences {@code [minibatch, size, steps]}, or channels last, as rows {@code [minibatch · steps, size]}. */
    private static final class Sequences extends RnnOutputLayer implements OwnArithmetic {

        private final FrozenOutputs products;

        Sequences(RnnOutputLayer hollow, FrozenMatrices weights) {
            super(hollow.conf(), weights.type());
            products = new FrozenOutputs(weights);
        }

        @Override
        public void setStock(boolean stock) {
            products.stock = stock;
        }

        private boolean isChannelsLast() {
            return layerConf().getRnnDataFormat() == RNNFormat.NWC;
        }

        private INDArray rows(LayerWorkspaceMgr workspaces) {
            assertInputSet(false);
            return input.rank() != 3 ? input : TimeSeriesUtils.reshape3dTo2d(
                    (isChannelsLast() ? input.permute(0, 2, 1) : input).castTo(dataType), workspaces, ArrayType.FF_WORKING_MEM);
        }

        private INDArray steps(INDArray rows, LayerWorkspaceMgr workspaces, ArrayType type) {
            INDArray steps = TimeSeriesUtils.reshape2dTo3d(rows, input.size(0), workspaces, type);
            return isChannelsLast() ? steps.permute(0, 2, 1) : steps;
        }

        @Override
        protected INDArray preOutput2d(boolean training, LayerWorkspaceMgr workspaces) {
            INDArray z = products.product(rows(workspaces), layerId(), workspaces);
            if (maskArray != null) {
                applyMask(z);
            }
            return z;
        }

        @Override
        public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
            assertInputSet(false);
            LabelledSteps.requireSequence(input, layerId());
            INDArray z = products.product(rows(workspaces), layerId(), workspaces);
            INDArray rows = layerConf().getActivationFn().getActivation(z, training);
            if (maskArray != null) {
                applyMask(rows);
            }
            return steps(rows, workspaces, ArrayType.ACTIVATIONS);
        }

        @Override
        public Pair<Gradient, INDArray> backpropGradient(@Nullable INDArray epsilon, LayerWorkspaceMgr workspaces) {
            INDArray rows = products.backward(layerConf(), getLabels2d(workspaces, ArrayType.BP_WORKING_MEM),
                    preOutput2d(true, workspaces), maskArray, workspaces);
            return new Pair<>(new DefaultGradient(), steps(rows, workspaces, ArrayType.ACTIVATION_GRAD));
        }

        /** For the gradient and for scores. */
        @Override
        protected INDArray getLabels2d(LayerWorkspaceMgr workspaces, ArrayType type) {
            assertInputSet(false);
            LabelledSteps.require(input, labels, isChannelsLast(), layerId());
            return super.getLabels2d(workspaces, type);
        }
    }
}
