package io.github.dl4jlora.internal.effective;

import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.convolution.SeparableConvolution;
import io.github.dl4jlora.internal.convolution.Windows;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.stock.StockMatrices;
import io.github.dl4jlora.internal.onednn.Finish;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.layers.convolution.SeparableConvolution2DLayer;
import org.deeplearning4j.nn.params.SeparableConvolutionParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Objects;
import java.util.function.BooleanSupplier;

/** DL4J's separable convolution, computed by this library's kernel, much faster. */
final class SeparableLayer extends SeparableConvolution2DLayer {

    private static final String DEPTHWISE = SeparableConvolutionParamInitializer.DEPTH_WISE_WEIGHT_KEY;
    private static final String POINTWISE = SeparableConvolutionParamInitializer.POINT_WISE_WEIGHT_KEY;
    private static final String BIAS = SeparableConvolutionParamInitializer.BIAS_KEY;

    private BooleanSupplier asStock = () -> false;

    /** @param values flat, on which the layer runs */
    SeparableLayer(NeuralNetConfiguration conf, int index, INDArray values, DataType type) {
        super(conf, type);
        setIndex(index);
        setParamsViewArray(values);
        setParamTable(layerConf().initializer().init(conf, values, false));
    }

    /** @param when whether to compute what DL4J's layer computes, bit for bit */
    void setStock(BooleanSupplier when) {
        asStock = when;
    }

    private ConvolutionLayout layout() {
        return new ConvolutionLayout(layerConf());
    }

    private boolean isOurs() {
        return !asStock.getAsBoolean() && SeparableConvolution.exists(layerConf()) && layout().accepts(input);
    }

    private INDArray matrix(String key, INDArray parameter) {
        return StockMatrices.of(layerConf()).form(key).viewOf(parameter);
    }

    private INDArray view(String key) {
        return Objects.requireNonNull(gradientViews.get(key));
    }

    private SeparableConvolution kernel(Windows windows) {
        return new SeparableConvolution(windows, new PlainMatrix(matrix(DEPTHWISE, getParam(DEPTHWISE))),
                new PlainMatrix(matrix(POINTWISE, getParam(POINTWISE))), dataType);
    }

    @Override
    protected Pair<INDArray, INDArray> preOutput(boolean training, boolean forBackprop, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        if (!isOurs()) {
            return super.preOutput(training, forBackprop, workspaces);
        }
        INDArray x = layout().channelsFirst(input.castTo(dataType), ArrayType.FF_WORKING_MEM, workspaces);
        Windows windows = Windows.of(layerConf(), x);
        INDArray z = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType, layout().outputShape(windows, x.size(0)),
                'c');
        kernel(windows).forward(x, new Finish(layerConf().hasBias() ? getParam(BIAS) : null, false), z, workspaces);
        return new Pair<>(layout().asInLayer(z), null);
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        if (!isOurs()) {
            return super.backpropGradient(epsilon, workspaces);
        }
        INDArray z = preOutput(true, true, workspaces).getFirst();
        INDArray delta = layerConf().getActivationFn().backprop(z, epsilon.castTo(dataType)).getFirst();
        INDArray dz = layout().channelsFirst(delta, ArrayType.BP_WORKING_MEM, workspaces);
        INDArray x = layout().channelsFirst(input.castTo(dataType), ArrayType.BP_WORKING_MEM, workspaces);
        INDArray dx = workspaces.createUninitialized(ArrayType.ACTIVATION_GRAD, dataType, x.shape(), 'c');
        Gradient gradient = new DefaultGradient();
        gradientViews.forEach(gradient::setGradientFor);
        kernel(Windows.of(layerConf(), x)).backward(x, dz, dx, matrix(DEPTHWISE, view(DEPTHWISE)),
                matrix(POINTWISE, view(POINTWISE)), workspaces);
        if (layerConf().hasBias()) {
            INDArray db = view(BIAS);
            db.assign(dz.sum(0, 2, 3).reshape(db.shape()));
        }
        return new Pair<>(gradient, backpropDropOutIfPresent(layout().asInLayer(dx)));
    }
}
