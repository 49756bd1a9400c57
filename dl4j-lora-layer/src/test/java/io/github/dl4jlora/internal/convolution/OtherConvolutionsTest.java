package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.common.Views;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.kernel.QuantizedProduct;
import io.github.dl4jlora.internal.onednn.ConvolutionShape;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.Weights;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.internal.stock.StockMatrices;
import org.deeplearning4j.exception.DL4JInvalidInputException;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Deconvolution2D;
import org.deeplearning4j.nn.conf.layers.Deconvolution3D;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** Transposed and depthwise convolutions with W and a low-rank path are DL4J's with W + s·A·B, whatever their geometry. */
class OtherConvolutionsTest {

    private static final int EXAMPLES = 5;
    private static final int IN = 3;
    private static final int OUT = 4;
    private static final int RANK = 2;
    private static final double FACTOR = 0.7;
    private static final LayerWorkspaceMgr NO_WORKSPACES = LayerWorkspaceMgr.noWorkspaces();

    static Stream<Arguments> geometries() {
        return Stream.of(
                image(3, 3, 1, 0, 1, ConvolutionMode.Truncate), image(3, 2, 2, 1, 1, ConvolutionMode.Truncate),
                image(2, 3, 1, 1, 2, ConvolutionMode.Strict), image(1, 1, 1, 0, 1, ConvolutionMode.Truncate),
                image(1, 2, 3, 0, 1, ConvolutionMode.Truncate), image(4, 4, 2, 1, 1, ConvolutionMode.Strict),
                image(3, 3, 1, 0, 1, ConvolutionMode.Same), image(4, 2, 2, 0, 1, ConvolutionMode.Same),
                image(2, 3, 1, 0, 2, ConvolutionMode.Same), image(5, 3, 2, 0, 1, ConvolutionMode.Same),
                volume(2, 1, 0, 1, ConvolutionMode.Truncate), volume(3, 2, 1, 1, ConvolutionMode.Truncate),
                volume(2, 1, 1, 2, ConvolutionMode.Strict), volume(3, 1, 0, 1, ConvolutionMode.Same),
                volume(2, 2, 0, 1, ConvolutionMode.Same), volume(1, 1, 0, 1, ConvolutionMode.Truncate),
                depthwise(3, 3, 1, 0, 1, ConvolutionMode.Truncate, 1), depthwise(3, 2, 2, 1, 1, ConvolutionMode.Truncate, 2),
                depthwise(2, 3, 1, 1, 2, ConvolutionMode.Truncate, 1), depthwise(1, 1, 1, 0, 1, ConvolutionMode.Strict, 2),
                depthwise(3, 3, 1, 0, 1, ConvolutionMode.Same, 1), depthwise(4, 2, 2, 0, 1, ConvolutionMode.Same, 3),
                depthwise(2, 3, 1, 0, 2, ConvolutionMode.Same, 1),
                // The output's last numbers, or first and last ones, belong to no number of the input.
                image(1, 2, 2, 0, 1, ConvolutionMode.Same), image(1, 1, 3, 0, 1, ConvolutionMode.Same),
                volume(1, 2, 0, 1, ConvolutionMode.Same), volume(1, 3, 0, 1, ConvolutionMode.Same));
    }

    private static Arguments image(int height, int width, int stride, int padding, int dilation, ConvolutionMode mode) {
        Deconvolution2D.Builder builder = new Deconvolution2D.Builder(height, width).stride(stride, stride)
                .padding(padding, padding).convolutionMode(mode);
        builder.setDilation(dilation, dilation);
        return arguments(builder.nIn(IN).nOut(OUT).hasBias(false).activation(Activation.IDENTITY).build(),
                new long[] {EXAMPLES, IN, 5, 4});
    }

    private static Arguments depthwise(int height, int width, int stride, int padding, int dilation, ConvolutionMode mode,
                                       int multiplier) {
        return arguments(new DepthwiseConvolution2D.Builder(height, width).stride(stride, stride).padding(padding, padding)
                .dilation(dilation, dilation).convolutionMode(mode).depthMultiplier(multiplier).nIn(IN).hasBias(false)
                .activation(Activation.IDENTITY).build(), new long[] {EXAMPLES, IN, 7, 6});
    }

    private static Arguments volume(int kernel, int stride, int padding, int dilation, ConvolutionMode mode) {
        Deconvolution3D.Builder builder = new Deconvolution3D.Builder().kernelSize(kernel, 1, kernel).stride(stride, 1, stride)
                .padding(padding, 0, padding).convolutionMode(mode);
        builder.setDilation(dilation, 1, dilation);
        return arguments(builder.nIn(IN).nOut(OUT).hasBias(false).activation(Activation.IDENTITY).build(),
                new long[] {EXAMPLES, IN, 3, 4, 3});
    }

    /** DL4J's layer on given weights. */
    private static final class Stock {

        private final Layer layer;
        private final MatrixForm form;
        private final INDArray matrix;
        private INDArray gradient;

        Stock(ConvolutionLayer conf, DataType type) {
            NeuralNetConfiguration global = new NeuralNetConfiguration.Builder().seed(1).dataType(type).layer(conf).build();
            long length = conf.initializer().numParams(global);
            layer = conf.instantiate(global, null, 0, Networks.random(type, 1, 1, length), false, type);
            layer.setBackpropGradientsViewArray(Nd4j.create(type, 1, length));
            form = StockMatrices.of(conf).form("W");
            matrix = form.viewOf(layer.getParam("W"));
        }

        INDArray forward(INDArray x) {
            layer.setInput(x.dup(), NO_WORKSPACES);
            return layer.activate(true, NO_WORKSPACES).dup('c');
        }

        INDArray backward(INDArray epsilon) {
            Pair<Gradient, INDArray> found = layer.backpropGradient(epsilon.dup(), NO_WORKSPACES);
            gradient = form.of(found.getFirst().getGradientFor("W")).dup();
            return found.getSecond().dup('c');
        }
    }

    private static void assertNear(INDArray found, INDArray expected, double tolerance, String what) {
        assertThat(found.shape()).as(what).isEqualTo(expected.shape());
        assertThat(found.distance2(expected)).as(what).isLessThanOrEqualTo(tolerance * expected.norm2Number().doubleValue());
    }

    private static void requireDl4js(ConvolutionLayer conf, long[] shape, FrozenMatrix w, INDArray values, double tolerance) {
        DataType type = values.dataType();
        Stock stock = new Stock(conf, type);
        stock.matrix.assign(values);
        INDArray x = Networks.random(type, 4, shape);
        INDArray alone = stock.forward(x);
        INDArray epsilon = Networks.random(type, 5, alone.shape());
        INDArray dxAlone = stock.backward(epsilon);
        INDArray a = Networks.random(type, 2, values.size(0), RANK).dup('f');
        INDArray b = Networks.random(type, 3, RANK, values.size(1)).dup('f');
        stock.matrix.addi(a.mmul(b).muli(FACTOR));
        INDArray expected = stock.forward(x);
        INDArray expectedDx = stock.backward(epsilon);
        INDArray dw = stock.gradient;

        ConvolutionLayout layout = new ConvolutionLayout(conf);
        Windows windows = Windows.of(conf, x);
        FrozenConvolution kernel = layout.kernel(windows, layout.inWindowOrder(w), type, EXAMPLES);
        INDArray z = Nd4j.valueArrayOf(layout.outputShape(windows, EXAMPLES), Double.NaN, type);
        kernel.forward(x, Finish.NOTHING, z, NO_WORKSPACES);
        assertNear(z, alone, tolerance, "z of W alone");
        INDArray dx = Nd4j.valueArrayOf(shape, Double.NaN, type);
        kernel.backward(epsilon, dx, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);
        assertNear(dx, dxAlone, tolerance, "dx of W alone");

        Route own = layout.inWindowOrder(new Route(0, Long.MAX_VALUE, a, b, FACTOR));
        Route half = layout.inWindowOrder(new Route(0, Long.MAX_VALUE, a, b, FACTOR / 2));
        for (List<Route> routes : List.of(List.of(own), List.of(own.over(0, 2), own.over(2, 9)), List.of(half, half),
                List.of(half.over(0, 2), half.over(0, 2), own.over(2, 9)))) {
            kernel.forward(x, x, routes, z.assign(Double.NaN), null, NO_WORKSPACES);
            assertNear(z, expected, tolerance, "z");
        }
        kernel.forward(x, x, List.of(own.over(1, 3)), z.assign(Double.NaN), null, NO_WORKSPACES);
        assertNear(Views.rows(z, 1, 3), Views.rows(expected, 1, 3), tolerance, "z of two examples");
        assertNear(Views.rows(z, 3, 5), Views.rows(alone, 3, 5), tolerance, "z of the others");
        for (INDArray target : new INDArray[] {dx, null}) {
            INDArray gradientA = Nd4j.valueArrayOf(a.shape(), Double.NaN, type).dup('f');
            INDArray gradientB = Nd4j.valueArrayOf(b.shape(), Double.NaN, type).dup('f');
            layout.writeGradients(gradientA, gradientB, NO_WORKSPACES, (toA, toB) ->
                    kernel.backward(x, own, null, epsilon, toA, toB, target, target, NO_WORKSPACES));
            assertNear(dx, expectedDx, tolerance, "dx");
            assertNear(gradientA, dw.mmul(b.transpose()).muli(FACTOR), tolerance, "dA");
            assertNear(gradientB, a.transpose().mmul(dw).muli(FACTOR), tolerance, "dB");
        }
    }

    private static INDArray weights(ConvolutionLayer conf, DataType type) {
        return Networks.random(type, 1, new Stock(conf, type).matrix.shape());
    }

    @ParameterizedTest
    @MethodSource("geometries")
    void itIsDl4jsLayerInAnyType(ConvolutionLayer conf, long[] shape) {
        INDArray w = weights(conf, DataType.DOUBLE);

        requireDl4js(conf, shape, new PlainMatrix(w), w, 1e-12);
        INDArray narrow = w.castTo(DataType.FLOAT);
        requireDl4js(conf, shape, new PlainMatrix(narrow), narrow, 2e-6);
    }

    @ParameterizedTest
    @MethodSource("geometries")
    void oneDnnComputesIt(ConvolutionLayer conf, long[] shape) {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        INDArray w = weights(conf, DataType.FLOAT);
        INDArray restored = w.castTo(DataType.BFLOAT16).castTo(DataType.FLOAT);
        OneDnn.use(OneDnn.Use.ALWAYS);
        try {
            requireDl4js(conf, shape, new PlainMatrix(w), w, 2e-6);
            QuantizedMatrix codes = QuantizedMatrix.of(Quantization.BF16, w.size(1), w.size(0),
                    (line, to) -> System.arraycopy(w.getColumn(line).toFloatVector(), 0, to, 0, to.length));
            // W in bfloat16 is exact here; inputs and gradients are rounded to it where the processor multiplies it.
            requireDl4js(conf, shape, new QuantizedProduct(codes, DataType.FLOAT, true), restored,
                    OneDnn.multipliesBf16() ? 1e-2 : 2e-6);
        } finally {
            OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 3, 4, 3, 1, Same", "2, 3, 4, 2, 2, Truncate", "3, 3, 4, 3, 1, Strict", "1, 2, 1, 1, 1, Same",
        "2, 2, 1, 3, 1, Truncate", "2, 4, 2, 5, 2, Same"})
    void separableConvolutionsAreDl4js(int multiplier, int nIn, int nOut, int side, int stride, ConvolutionMode mode) {
        SeparableConvolution2D conf = new SeparableConvolution2D.Builder(side, 2).stride(stride, stride).convolutionMode(mode)
                .depthMultiplier(multiplier).nIn(nIn).nOut(nOut).dataFormat(CNN2DFormat.NCHW).activation(Activation.IDENTITY)
                .build();
        assertThat(SeparableConvolution.exists(conf)).isTrue();
        for (OneDnn.Use use : OneDnn.Use.values()) {
            OneDnn.use(use);
            try {
                for (DataType type : new DataType[] {DataType.DOUBLE, DataType.FLOAT}) {
                    Stock stock = new Stock(conf, type);
                    StockMatrices matrices = StockMatrices.of(conf);
                    stock.layer.getParam("b").assign(0);
                    INDArray x = Networks.random(type, 4, EXAMPLES, nIn, 7, 7);
                    INDArray expected = stock.forward(x);
                    INDArray epsilon = Networks.random(type, 5, expected.shape());
                    INDArray expectedDx = stock.backward(epsilon);

                    SeparableConvolution separable = new SeparableConvolution(Windows.of(conf, x), new PlainMatrix(stock.matrix),
                            new PlainMatrix(matrices.form("pW").viewOf(stock.layer.getParam("pW"))), type);
                    INDArray z = Nd4j.valueArrayOf(expected.shape(), Double.NaN, type);
                    separable.forward(x, Finish.NOTHING, z, NO_WORKSPACES);
                    INDArray dx = Nd4j.valueArrayOf(x.shape(), Double.NaN, type);
                    separable.backward(epsilon, dx, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);

                    assertNear(z, expected, type == DataType.DOUBLE ? 1e-12 : 2e-6, "z");
                    assertNear(dx, expectedDx, type == DataType.DOUBLE ? 1e-12 : 2e-6, "dx");

                    INDArray dw = Nd4j.valueArrayOf(stock.matrix.shape(), Double.NaN, type);
                    INDArray dv = Nd4j.valueArrayOf(new long[] {(long) multiplier * nIn, nOut}, Double.NaN, type);
                    separable.backward(x, epsilon, dx.assign(Double.NaN), dw, dv, NO_WORKSPACES);
                    assertNear(dx, expectedDx, type == DataType.DOUBLE ? 1e-12 : 2e-6, "dx with gradients");
                    assertNear(dw, stock.gradient, type == DataType.DOUBLE ? 1e-12 : 2e-6, "dW");
                }
            } finally {
                OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
            }
        }
    }

    /** Not its implementation for reference, which is refused. */
    @Test
    void oneDnnHasFastCodeForGroups() {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        DepthwiseConvolution2D conf = new DepthwiseConvolution2D.Builder(3, 3).nIn(16).build();
        INDArray x = Networks.random(DataType.FLOAT, 4, 2, 16, 8, 8);
        ConvolutionShape shape = Windows.of(conf, x).shape(2, 16, 16);
        INDArray w = Networks.random(DataType.FLOAT, 5, 9, 16);
        INDArray z = Nd4j.create(DataType.FLOAT, 2, 16, 6, 6);

        assertThat(Convolutions.forward(shape, x, Weights.of(w, false), z)).isTrue();
        assertThat(Convolutions.backToData(shape, x, Weights.of(w, false), z)).isTrue();
        assertThat(Convolutions.backToWeights(shape, x, Weights.of(w, false), z)).isTrue();
    }

    @Test
    void paddingThatLeavesNothingIsRefused() {
        ConvolutionLayer conf = new Deconvolution2D.Builder(2, 2).padding(3, 3).nIn(1).nOut(1).build();

        assertThatThrownBy(() -> Windows.of(conf, Nd4j.create(DataType.FLOAT, 1, 1, 4, 4)))
                .isInstanceOf(DL4JInvalidInputException.class).hasMessageContainingAll("Padding [3, 3]", "[1, 1, 4, 4]");
    }
}
