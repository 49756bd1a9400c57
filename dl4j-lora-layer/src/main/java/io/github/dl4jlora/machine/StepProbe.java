package io.github.dl4jlora.machine;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.convolution.FrozenConvolution;
import io.github.dl4jlora.internal.convolution.Windows;
import io.github.dl4jlora.internal.kernel.PlainMatrix;
import io.github.dl4jlora.internal.onednn.Finish;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;

/**
 * Times a LoRA step of three dense layers, batch 32, rank 8, Adam, in this JVM or as the main class of another. ND4J's random
 * generator is left as it was.
 */
final class StepProbe {

    /** Widths of the layers: the first is bound by calls, the second by products. */
    static final int[] WIDTHS = {256, 1024};
    /** Begins the line that another JVM answers with: milliseconds by width, with blanks between. */
    static final String ANSWER = "dl4j-lora step: ";
    /** Makes another JVM settle its threads first. */
    static final String SETTLED = "settled";

    private static final int LAYERS = 3;
    private static final int ROWS = 32;
    /** The width of the output layer, which is frozen and costs next to nothing. */
    private static final int OUT = 8;
    private static final int RANK = 8;
    private static final int PRODUCT = 1024;
    private static final int IMAGES = 4;
    private static final int CHANNELS = 64;
    private static final int SIDE = 32;
    private static final int KERNEL = 3;
    private static final int FEWEST = 5;
    private static final long STEP_NANOS = 600_000_000L;
    private static final long PRODUCT_NANOS = 250_000_000L;

    private StepProbe() {
    }

    /** @param arguments {@link #SETTLED} or another word */
    public static void main(String[] arguments) {
        if (arguments[0].equals(SETTLED)) {
            Threads.settle();
        }
        System.out.println(ANSWER + Arrays.stream(steps()).mapToObj(millis -> String.format(Locale.ROOT, "%.4f", millis))
                .collect(Collectors.joining(" ")));
        System.exit(0);
    }

    /** Medians in milliseconds, one for each of {@link #WIDTHS}. */
    static double[] steps() {
        return Arrays.stream(WIDTHS).mapToDouble(StepProbe::step).toArray();
    }

    private static double step(int width) {
        Random random = new Random(width);
        // DL4J reseeds a thread's generator with each configuration that is built there.
        MultiLayerNetwork base = new MultiLayerNetwork(
                CompletableFuture.supplyAsync(() -> configuration(width), task -> new Thread(task).start()).join());
        INDArray values = matrix(random, 1, (width + 1L) * (LAYERS * width + OUT));
        base.init(values.muli(1 / Math.sqrt(width)), false);
        MultiLayerNetwork network = LoRA.apply(base, LoRAConfig.builder().rank(RANK).seed(1).build());
        DataSet batch = new DataSet(matrix(random, ROWS, width), matrix(random, ROWS, OUT));
        return median(STEP_NANOS, () -> network.fit(batch));
    }

    private static MultiLayerConfiguration configuration(int width) {
        NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().dataType(DataType.FLOAT)
                .activation(Activation.RELU).updater(new Adam(1e-4)).list();
        for (int i = 0; i < LAYERS; i++) {
            list.layer(new DenseLayer.Builder().nIn(width).nOut(width).build());
        }
        return list.layer(new OutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(width).nOut(OUT).build())
                .build();
    }

    /** The products of such a step alone, into existing arrays, in milliseconds by width. */
    static double[] floors() {
        return Arrays.stream(WIDTHS).mapToDouble(StepProbe::floor).toArray();
    }

    private static double floor(int width) {
        Random random = new Random(width);
        INDArray x = matrix(random, ROWS, width);
        INDArray z = matrix(random, ROWS, width);
        INDArray a = matrix(random, width, RANK);
        INDArray b = matrix(random, RANK, width);
        INDArray u = matrix(random, ROWS, RANK);
        INDArray[] weights = new INDArray[LAYERS];
        Arrays.setAll(weights, i -> matrix(random, width, width));
        return median(PRODUCT_NANOS, () -> {
            for (int i = 0; i < LAYERS; i++) {
                Blas.gemm(x, weights[i], z, false, false, 1, 0);
                Blas.gemm(x, a, u, false, false, 1, 0);
                Blas.gemm(u, b, z, false, false, 1, 1);
            }
            for (int i = LAYERS - 1; i >= 0; i--) {
                Blas.gemm(u, x, b, true, false, 1, 0);
                Blas.gemm(x, b, u, false, true, 1, 0);
                Blas.gemm(x, u, a, true, false, 1, 0);
                if (i > 0) {
                    // The first layer has nothing below it that would need a gradient.
                    Blas.gemm(x, weights[i], z, false, true, 1, 0);
                    Blas.gemm(u, a, z, false, true, 1, 1);
                }
            }
        });
    }

    /** The speed of a product of two matrices of 1024 by 1024, in 10⁹ operations per second. */
    static double gflops() {
        Random random = new Random(1);
        INDArray a = matrix(random, PRODUCT, PRODUCT);
        INDArray b = matrix(random, PRODUCT, PRODUCT);
        INDArray c = matrix(random, PRODUCT, PRODUCT);
        double millis = median(PRODUCT_NANOS, () -> Blas.gemm(a, b, c, false, false, 1, 0));
        return 2e-6 * PRODUCT * PRODUCT * PRODUCT / millis;
    }

    /** The speed of a frozen convolution, 3 × 3, of 64 channels by 32 × 32, forward, in 10⁹ operations per second. */
    static double convolutionGflops() {
        Random random = new Random(2);
        ConvolutionLayer layer = new ConvolutionLayer.Builder(KERNEL, KERNEL).convolutionMode(ConvolutionMode.Same).nIn(CHANNELS)
                .nOut(CHANNELS).build();
        INDArray x = matrix(random, 1, IMAGES * CHANNELS * SIDE * SIDE).dup('c').reshape('c', IMAGES, CHANNELS, SIDE, SIDE);
        INDArray z = Nd4j.create(DataType.FLOAT, x.shape(), 'c');
        INDArray w = matrix(random, CHANNELS * KERNEL * KERNEL, CHANNELS);
        FrozenConvolution convolution = FrozenConvolution.of(Windows.of(layer, x), new PlainMatrix(w), DataType.FLOAT, IMAGES);
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        double millis = median(PRODUCT_NANOS, () -> convolution.forward(x, Finish.NOTHING, z, workspaces));
        return 2e-6 * x.length() * w.size(0) / millis;
    }

    private static INDArray matrix(Random random, long rows, long columns) {
        float[] values = new float[(int) (rows * columns)];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextFloat() - 0.5f;
        }
        return Nd4j.create(values, new long[] {rows, columns}, 'f');
    }

    /** The median time of repetitions within the given time, after a warm-up of the same length. */
    private static double median(long nanos, Runnable work) {
        repeat(work, nanos);
        double[] sorted = repeat(work, nanos).sorted().toArray();
        return sorted[sorted.length / 2];
    }

    private static DoubleStream repeat(Runnable work, long nanos) {
        DoubleStream.Builder millis = DoubleStream.builder();
        long begin = System.nanoTime();
        for (int i = 0; i < FEWEST || System.nanoTime() - begin < nanos; i++) {
            long from = System.nanoTime();
            work.run();
            millis.add((System.nanoTime() - from) / 1e6);
        }
        return millis.build();
    }
}
