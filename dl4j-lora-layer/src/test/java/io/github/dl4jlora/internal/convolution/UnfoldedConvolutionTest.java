package io.github.dl4jlora.internal.convolution;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.Route;
import io.github.dl4jlora.internal.kernel.FrozenMatrix;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.kernel.QuantizedProduct;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.Finish;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.Weights;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

/** A convolution with W and a low-rank one beside it is DL4J's convolution with W + s·A·B, whatever its geometry. */
class UnfoldedConvolutionTest {

    private static final int IN = 3;
    private static final int OUT = 4;
    private static final int RANK = 2;
    private static final double FACTOR = 0.7;

    private static final LayerWorkspaceMgr NO_WORKSPACES = LayerWorkspaceMgr.noWorkspaces();

    static Stream<Arguments> geometries() {
        return Stream.of(
                sequence(3, 1, 0, 1, ConvolutionMode.Truncate), sequence(3, 2, 1, 1, ConvolutionMode.Truncate),
                sequence(2, 1, 0, 3, ConvolutionMode.Truncate), sequence(4, 1, 0, 1, ConvolutionMode.Same),
                sequence(3, 2, 0, 1, ConvolutionMode.Same), sequence(3, 1, 0, 2, ConvolutionMode.Same),
                sequence(3, 1, 0, 1, ConvolutionMode.Causal), sequence(3, 2, 0, 1, ConvolutionMode.Causal),
                sequence(2, 1, 0, 2, ConvolutionMode.Causal),
                // No window has the first step, or plane, row and column, in it.
                sequence(1, 3, 0, 1, ConvolutionMode.Same), sequence(2, 5, 0, 1, ConvolutionMode.Same),
                volume(1, 3, 0, 1, ConvolutionMode.Same), volume(1, 5, 0, 1, ConvolutionMode.Same),
                image(3, 3, 1, 0, 1, ConvolutionMode.Truncate), image(3, 2, 2, 1, 1, ConvolutionMode.Truncate),
                image(2, 3, 1, 1, 2, ConvolutionMode.Truncate), image(1, 1, 1, 0, 1, ConvolutionMode.Truncate),
                image(3, 3, 1, 0, 1, ConvolutionMode.Same), image(4, 2, 2, 0, 1, ConvolutionMode.Same),
                image(2, 3, 1, 0, 2, ConvolutionMode.Same), image(3, 3, 1, 0, 1, ConvolutionMode.Strict),
                volume(2, 1, 0, 1, ConvolutionMode.Truncate), volume(3, 2, 1, 1, ConvolutionMode.Truncate),
                volume(2, 1, 1, 2, ConvolutionMode.Truncate), volume(3, 1, 0, 1, ConvolutionMode.Same),
                volume(2, 2, 0, 1, ConvolutionMode.Same), volume(1, 1, 0, 1, ConvolutionMode.Truncate));
    }

    private static Arguments sequence(int kernel, int stride, int padding, int dilation, ConvolutionMode mode) {
        return arguments(new Convolution1DLayer.Builder().kernelSize(kernel).stride(stride).padding(padding).dilation(dilation)
                .convolutionMode(mode), new long[] {5, IN, 9});
    }

    private static Arguments image(int height, int width, int stride, int padding, int dilation, ConvolutionMode mode) {
        return arguments(new ConvolutionLayer.Builder(height, width).stride(stride, stride).padding(padding, padding)
                .dilation(dilation, dilation).convolutionMode(mode), new long[] {5, IN, 7, 6});
    }

    private static Arguments volume(int kernel, int stride, int padding, int dilation, ConvolutionMode mode) {
        return arguments(new Convolution3D.Builder(kernel, kernel, kernel).stride(stride, stride, stride)
                .padding(padding, padding, padding).dilation(dilation, dilation, dilation).convolutionMode(mode),
                new long[] {5, IN, 5, 6, 4});
    }

    /** ND4J tells other strides than those of 'c' order for some arrays with a dimension of one number. */
    @ParameterizedTest
    @CsvSource({"1, 3, 6, 6", "3, 1, 6, 6", "2, 2, 6, 1", "2, 2, 1, 6", "1, 1, 1, 1"})
    void oneDnnComputesConvolutionsWithADimensionOfOneNumber(int nIn, int nOut, int height, int width) {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        ConvolutionLayer conf = new ConvolutionLayer.Builder(3, 3).convolutionMode(ConvolutionMode.Same).nIn(nIn).nOut(nOut)
                .build();
        INDArray x = Networks.random(DataType.FLOAT, 4, 5, nIn, height, width);
        Windows windows = Windows.of(conf, x);
        INDArray w = Networks.random(DataType.FLOAT, 5, windows.size(), nOut).dup('f');
        INDArray z = Nd4j.create(DataType.FLOAT, windows.outputShape(5, nOut, 4), 'c');
        INDArray expected = z.dup('c');
        new UnfoldedConvolution(windows, w).forward(x, Finish.NOTHING, expected, NO_WORKSPACES);

        assertThat(Convolutions.forward(windows.shape(5, nOut), x, Weights.of(w, false), z)).isTrue();

        assertThat(Networks.difference(z, expected)).isLessThan(1e-5);
    }

    /** Its one window lies in the padding, so nothing of dz belongs to the input; for that a plane was taken for all there is. */
    @Test
    void nothingFlowsBackThroughAWindowInThePadding() {
        Convolution3D conf = new Convolution3D.Builder(1, 3, 3).stride(3, 1, 1).padding(1, 1, 1).nIn(2).nOut(3).build();
        INDArray x = Networks.random(DataType.DOUBLE, 4, 2, 2, 1, 5, 5);
        Windows windows = Windows.of(conf, x);
        INDArray w = Networks.random(DataType.DOUBLE, 5, windows.size(), 3).dup('f');
        INDArray dz = Networks.random(DataType.DOUBLE, 6, windows.outputShape(2, 3, 5));
        INDArray dx = Nd4j.valueArrayOf(x.shape(), 7.0, DataType.DOUBLE);

        FrozenConvolution.of(windows, new PlainMatrix(w), DataType.DOUBLE, 2)
                .backward(dz, dx, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);

        assertThat(dx.norm2Number().doubleValue()).isZero();
    }

    /** W + s·A·B is W in these types. */
    @ParameterizedTest
    @EnumSource(names = {"HALF", "BFLOAT16"})
    void aChangeTooSmallForSixteenBitsIsComputedInInference(DataType type) {
        ConvolutionLayer conf = new ConvolutionLayer.Builder(1, 1).nIn(2).nOut(1).build();
        INDArray x = Nd4j.createFromArray(new double[][][][] {{{{1}}, {{-1}}}}).castTo(type);
        INDArray w = Nd4j.ones(type, 2, 1);
        Route route = new Route(0, Long.MAX_VALUE, Nd4j.createFromArray(new double[][] {{1}, {0}}).castTo(type),
                Nd4j.createFromArray(new double[][] {{1e-4}}).castTo(type), 1);
        INDArray z = Nd4j.create(type, 1, 1, 1, 1);

        FrozenConvolution.of(Windows.of(conf, x), new PlainMatrix(w), type, 1)
                .forward(x, x, List.of(route), z, null, NO_WORKSPACES);

        assertThat(z.getDouble(0)).isCloseTo(1e-4, offset(1e-6));
    }

    @ParameterizedTest
    @MethodSource("geometries")
    void oneDnnComputesTheSameConvolution(ConvolutionLayer.BaseConvBuilder<?> builder, long[] inputShape) {
        assumeTrue(OneDnn.isPresent(), "oneDNN is not on the class path");
        ConvolutionLayer conf = builder.nIn(IN).nOut(OUT).hasBias(false).build();
        INDArray x = Networks.random(DataType.FLOAT, 4, inputShape);
        Windows windows = Windows.of(conf, x);
        INDArray w = Networks.random(DataType.FLOAT, 5, windows.size(), OUT).dup('f');
        Route route = new Route(0, Long.MAX_VALUE, Networks.random(DataType.FLOAT, 2, windows.size(), RANK).dup('f'),
                Networks.random(DataType.FLOAT, 3, RANK, OUT).dup('f'), FACTOR);
        INDArray dropped = Networks.random(DataType.FLOAT, 6, inputShape);
        OneDnn.use(OneDnn.Use.ALWAYS);
        try {
            assertSameResults(windows, new PlainMatrix(w), w, x, dropped, route, 2e-6);
            if (OneDnn.multipliesBf16()) {
                QuantizedMatrix codes = QuantizedMatrix.of(Quantization.BF16, OUT, windows.size(),
                        (line, to) -> System.arraycopy(w.getColumn(line).toFloatVector(), 0, to, 0, to.length));
                // W in bfloat16 is exact here; inputs and gradients are rounded to it.
                INDArray restored = w.castTo(DataType.BFLOAT16).castTo(DataType.FLOAT).dup('f');
                assertSameResults(windows, new QuantizedProduct(codes, DataType.FLOAT, true), restored, x, dropped, route, 6e-3);
            }
        } finally {
            OneDnn.use(OneDnn.Use.WHERE_IT_GAINS);
        }
    }

    private static void assertSameResults(Windows windows, FrozenMatrix w, INDArray array, INDArray x, INDArray dropped,
                                          Route route, double tolerance) {
        FrozenConvolution direct = FrozenConvolution.of(windows, w, DataType.FLOAT, x.size(0));
        assertThat(direct).isInstanceOf(windows.skipsNothing() ? DirectConvolution.class : UnfoldedConvolution.class);
        INDArray z = Nd4j.create(DataType.FLOAT, windows.outputShape(x.size(0), OUT, x.rank()), 'c');
        Weights asItIs = w.weights(false) == null ? Weights.of(array, false) : w.weights(false);
        assertThat(!windows.skipsNothing() || Convolutions.forward(windows.shape(x.size(0), OUT), x, asItIs, z)).isTrue();
        UnfoldedConvolution unfolded = new UnfoldedConvolution(windows, array);

        for (INDArray path : List.of(x, dropped)) {
            assertThat(results(direct, windows, x, path, route)).zipSatisfy(results(unfolded, windows, x, path, route),
                    (actual, expected) -> assertThat(actual.distance2(expected))
                            .isLessThan(tolerance * expected.norm2Number().doubleValue()));
        }
    }

    /** All that a convolution computes, forward and backward, alone and beside a low-rank one. */
    private static List<INDArray> results(FrozenConvolution convolution, Windows windows, INDArray x, INDArray dropped,
                                          Route route) {
        List<INDArray> results = new ArrayList<>();
        long[] shapeZ = windows.outputShape(x.size(0), OUT, x.rank());
        for (boolean keeps : new boolean[] {true, false}) {
            INDArray z = Nd4j.valueArrayOf(shapeZ, Float.NaN);
            INDArray u = keeps ? Nd4j.valueArrayOf(windows.outputShape(x.size(0), RANK, x.rank()), Float.NaN) : null;
            convolution.forward(x, dropped, List.of(route), z, u, NO_WORKSPACES);
            results.add(z);
            if (u != null) {
                results.add(u);
                INDArray dz = Networks.random(DataType.FLOAT, 7, shapeZ);
                for (boolean needed : new boolean[] {true, false}) {
                    INDArray gradientA = Nd4j.valueArrayOf(route.a().shape(), Float.NaN).dup('f');
                    INDArray gradientB = Nd4j.valueArrayOf(route.b().shape(), Float.NaN).dup('f');
                    INDArray dx = needed ? Nd4j.valueArrayOf(x.shape(), Float.NaN) : null;
                    INDArray dropDx = dx == null || dropped == x ? dx : Nd4j.valueArrayOf(x.shape(), Float.NaN);
                    convolution.backward(dropped, route, u, dz, gradientA, gradientB, dx, dropDx, NO_WORKSPACES);
                    results.addAll(Stream.of(gradientA, gradientB, dx, dropDx).filter(Objects::nonNull).toList());
                }
                INDArray dx = Nd4j.valueArrayOf(x.shape(), Float.NaN);
                convolution.backward(dz, dx, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);
                results.add(dx);
            }
        }
        INDArray routed = Nd4j.valueArrayOf(shapeZ, Float.NaN);
        convolution.forward(x, dropped, List.of(route.over(0, 2), route.over(3, 9)), routed, null, NO_WORKSPACES);
        INDArray alone = Nd4j.valueArrayOf(shapeZ, Float.NaN);
        convolution.forward(x, Finish.NOTHING, alone, NO_WORKSPACES);
        results.addAll(List.of(routed, alone));
        return results;
    }

    @ParameterizedTest
    @MethodSource("geometries")
    void isTheConvolutionOfTheSumOfWeightsForwardAndBackward(ConvolutionLayer.BaseConvBuilder<?> builder, long[] inputShape) {
        ConvolutionLayer conf = builder.nIn(IN).nOut(OUT).hasBias(false).activation(Activation.IDENTITY)
                .weightInit(WeightInit.XAVIER).build();
        Stock stock = new Stock(conf);
        INDArray frozen = stock.weights();
        INDArray a = Networks.random(DataType.DOUBLE, 2, frozen.size(0), RANK).dup('f');
        INDArray b = Networks.random(DataType.DOUBLE, 3, RANK, OUT).dup('f');
        stock.add(a.mmul(b).muli(FACTOR));
        INDArray x = Networks.random(DataType.DOUBLE, 4, inputShape);

        INDArray expected = stock.forward(x);
        INDArray epsilon = Networks.random(DataType.DOUBLE, 5, expected.shape());
        INDArray expectedDx = stock.backward(epsilon);
        INDArray dw = stock.gradient();

        Windows windows = Windows.of(conf, x);
        long example = windows.size() * windows.positions() * DataType.DOUBLE.width();
        // One example at a time, two and two and one, all five.
        for (long chunkBytes : new long[] {1, 2 * example, 100 * example}) {
            UnfoldedConvolution convolution = new UnfoldedConvolution(windows, frozen, chunkBytes);
            Route route = new Route(0, Long.MAX_VALUE, a, b, FACTOR);
            INDArray z = Nd4j.create(DataType.DOUBLE, windows.outputShape(x.size(0), OUT, x.rank()), 'c');
            INDArray u = Nd4j.create(DataType.DOUBLE, windows.outputShape(x.size(0), RANK, x.rank()), 'c');
            convolution.forward(x, x, List.of(route), z, u, NO_WORKSPACES);
            assertThat(z.shape()).isEqualTo(expected.shape());
            assertThat(Networks.difference(z, expected)).isLessThan(1e-10);

            UnfoldedConvolution alone = new UnfoldedConvolution(windows, stock.weights(), chunkBytes);
            INDArray zAlone = Nd4j.create(DataType.DOUBLE, z.shape(), 'c');
            INDArray dxAlone = Nd4j.valueArrayOf(inputShape, 7.0, DataType.DOUBLE);
            alone.forward(x, Finish.NOTHING, zAlone, NO_WORKSPACES);
            alone.backward(epsilon, dxAlone, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);
            assertThat(Networks.difference(zAlone, expected)).isLessThan(1e-10);
            assertThat(Networks.difference(dxAlone, expectedDx)).isLessThan(1e-10);

            // The windows of FLOAT are copied and added up by other code.
            UnfoldedConvolution narrow = new UnfoldedConvolution(windows, stock.weights().castTo(DataType.FLOAT), chunkBytes / 2);
            INDArray zNarrow = Nd4j.create(DataType.FLOAT, z.shape(), 'c');
            INDArray dxNarrow = Nd4j.valueArrayOf(inputShape, 7.0, DataType.FLOAT);
            narrow.forward(x.castTo(DataType.FLOAT), Finish.NOTHING, zNarrow, NO_WORKSPACES);
            narrow.backward(epsilon.castTo(DataType.FLOAT), dxNarrow, ArrayType.BP_WORKING_MEM, NO_WORKSPACES);
            assertThat(Networks.difference(zNarrow.castTo(DataType.DOUBLE), expected)).isLessThan(1e-4);
            assertThat(Networks.difference(dxNarrow.castTo(DataType.DOUBLE), expectedDx)).isLessThan(1e-4);

            INDArray inference = Nd4j.create(DataType.DOUBLE, z.shape(), 'c');
            convolution.forward(x, x, List.of(route), inference, null, NO_WORKSPACES);
            assertThat(Networks.difference(inference, expected)).isLessThan(1e-10);
            convolution.forward(x, x, List.of(new Route(0, 2, a, b, FACTOR), new Route(2, 9, a, b, FACTOR)), inference, null,
                    NO_WORKSPACES);
            assertThat(Networks.difference(inference, expected)).isLessThan(1e-10);

            INDArray dx = Nd4j.create(DataType.DOUBLE, inputShape, 'c');
            INDArray gradientA = Nd4j.valueArrayOf(a.shape(), 7.0, DataType.DOUBLE).dup('f');
            INDArray gradientB = Nd4j.valueArrayOf(b.shape(), 7.0, DataType.DOUBLE).dup('f');
            convolution.backward(x, route, u, epsilon, gradientA, gradientB, dx, dx, NO_WORKSPACES);
            assertThat(Networks.difference(dx, expectedDx)).isLessThan(1e-10);
            assertThat(Networks.difference(gradientA, dw.mmul(b.transpose()).muli(FACTOR))).isLessThan(1e-10);
            assertThat(Networks.difference(gradientB, a.transpose().mmul(dw).muli(FACTOR))).isLessThan(1e-10);
        }
    }

    /** DL4J's own layer. Its weights are a view {@code [nIn, kernel, nOut]}, which they are in more than one order. */
    private static final class Stock {

        private final org.deeplearning4j.nn.api.Layer layer;
        private final INDArray gradients;
        private final INDArray view;
        private final INDArray gradientView;

        Stock(ConvolutionLayer conf) {
            NeuralNetConfiguration global = new NeuralNetConfiguration.Builder().seed(1).dataType(DataType.DOUBLE).layer(conf)
                    .build();
            long length = conf.initializer().numParams(global);
            INDArray values = Networks.random(DataType.DOUBLE, 1, 1, length);
            gradients = Nd4j.create(DataType.DOUBLE, 1, length);
            layer = conf.instantiate(global, null, 0, values, false, DataType.DOUBLE);
            layer.setBackpropGradientsViewArray(gradients);
            view = view(conf, values);
            gradientView = view(conf, gradients);
        }

        private static INDArray view(ConvolutionLayer conf, INDArray values) {
            long kernel = values.length() / IN / OUT;
            // Whatever shape it tells, Convolution1DLayer reads its weights as [kernel, nIn, nOut].
            return conf instanceof Convolution1DLayer ? values.reshape('c', kernel, IN, OUT).permute(1, 0, 2)
                    : values.reshape('c', OUT, IN, kernel).permute(1, 2, 0);
        }

        INDArray weights() {
            return matrix(view);
        }

        private static INDArray matrix(INDArray view) {
            return view.dup('c').reshape('c', view.size(0) * view.size(1), OUT).dup('f');
        }

        void add(INDArray delta) {
            view.addi(delta.dup('c').reshape('c', view.shape()));
        }

        INDArray forward(INDArray x) {
            layer.setInput(x.dup(), NO_WORKSPACES);
            return layer.activate(true, NO_WORKSPACES).dup('c');
        }

        INDArray backward(INDArray epsilon) {
            return layer.backpropGradient(epsilon.dup(), NO_WORKSPACES).getSecond();
        }

        INDArray gradient() {
            return matrix(gradientView);
        }
    }
}
