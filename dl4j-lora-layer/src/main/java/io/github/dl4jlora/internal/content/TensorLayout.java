package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;

/**
 * What A, B and DoRA's m of a layer are called and how they are shaped in PEFT's files:
 *
 * <pre>
 * linear        lora_A.weight [rank, nIn]            lora_B.weight [nOut, rank]        lora_magnitude_vector [nOut]
 * convolution   lora_A.weight [rank, nIn, kernel…]   lora_B.weight [nOut, rank, 1…]    lora_magnitude_vector [1, nOut, 1…]
 * embedding     lora_embedding_A [rank, nIn]         lora_embedding_B [nOut, rank]     lora_magnitude_vector [nOut]
 * </pre>
 *
 * In memory A is {@code [nIn·kernel, rank]} and B {@code [rank, nOut]}. In A's rows the kernel's index changes fastest, as in the
 * file, except for a kernel of one dimension: there that of nIn does, as in DL4J's weights.
 *
 * @param embedding whether it is an embedding
 * @param kernel    sizes of a convolution's kernel; empty for others
 * @param isInPeft  whether PEFT adapts such a layer; one that it has no module for is stored as a linear one
 * @param inByOut   whether PyTorch has W as {@code [nIn, nOut]}, as in GPT-2's Conv1D: PEFT's {@code fan_in_fan_out}. A and B
 *                  are those of a linear layer
 */
public record TensorLayout(boolean embedding, List<Long> kernel, boolean isInPeft, boolean inByOut) {

    public static final TensorLayout LINEAR = new TensorLayout(false, List.of(), true);
    public static final TensorLayout CONV1D = new TensorLayout(false, List.of(), true, true);
    public static final TensorLayout EMBEDDING = new TensorLayout(true, List.of(), true);
    private static final TensorLayout OTHER = new TensorLayout(false, List.of(), false);

    private static final Set<Class<?>> CONVOLUTIONS = Set.of(ConvolutionLayer.class, Convolution2D.class, Convolution3D.class);
    private static final Set<Class<?>> SEQUENCES = Set.of(Convolution1DLayer.class, Convolution1D.class);
    private static final Set<Class<?>> EMBEDDINGS = Set.of(EmbeddingLayer.class, EmbeddingSequenceLayer.class);

    public TensorLayout(boolean embedding, List<Long> kernel, boolean isInPeft) {
        this(embedding, kernel, isInPeft, false);
    }

    /**
     * How a layer's A and B lie in a file.
     *
     * @param stock the base's layer; null for a vertex
     */
    public static TensorLayout of(@Nullable Layer stock) {
        if (stock == null) {
            return OTHER;
        }
        Class<?> type = stock.getClass();
        if (EMBEDDINGS.contains(type)) {
            return EMBEDDING;
        }
        if (!CONVOLUTIONS.contains(type) && !SEQUENCES.contains(type)) {
            return isDense(StockLayers.unwrap(stock)) ? LINEAR : OTHER;
        }
        int[] sizes = ((ConvolutionLayer) stock).getKernelSize();
        return SEQUENCES.contains(type) ? convolution(sizes[0]) : convolution(Arrays.stream(sizes).asLongStream().toArray());
    }

    static boolean isDense(@Nullable Layer layer) {
        return layer instanceof DenseLayer || layer instanceof BaseOutputLayer;
    }

    private static TensorLayout convolution(long... kernel) {
        return new TensorLayout(false, LongStream.of(kernel).boxed().toList(), true);
    }

    /**
     * How A and B lie in a file's tensors of these shapes.
     *
     * @param layer for the message
     * @throws AdapterFormatException if PEFT has no such layer
     */
    public static TensorLayout of(String layer, boolean embedding, long[] shapeA, long[] shapeB) throws AdapterFormatException {
        int dimensions = shapeA.length - 2;
        boolean fits = dimensions == 0 || !embedding && dimensions >= 1 && dimensions <= 3;
        if (!fits || shapeB.length != shapeA.length || LongStream.of(shapeB).skip(2).anyMatch(size -> size != 1)
                || LongStream.of(shapeA).anyMatch(size -> size < 1)) {
            throw new AdapterFormatException("Layer \"" + layer + "\" has A of shape " + Arrays.toString(shapeA)
                    + " and B of shape " + Arrays.toString(shapeB) + "; expected matrices or, for a convolution, [rank, nIn, "
                    + "kernel…] and [nOut, rank, 1…]");
        }
        return embedding ? EMBEDDING : convolution(Arrays.copyOfRange(shapeA, 2, shapeA.length));
    }

    /** Whether tensors of both layouts have the same names and shapes. */
    public boolean isLike(TensorLayout other) {
        return embedding == other.embedding && kernel.equals(other.kernel);
    }

    public String nameOfA() {
        return embedding ? ".lora_embedding_A" : ".lora_A.weight";
    }

    public String nameOfB() {
        return embedding ? ".lora_embedding_B" : ".lora_B.weight";
    }

    /** A {@code [nIn·kernel, rank]} as the file has it. */
    public INDArray fileA(INDArray a) {
        return toFile(a.transpose());
    }

    /** B {@code [rank, nOut]} as the file has it. */
    public INDArray fileB(INDArray b) {
        return b.transpose().dup('c').reshape('c', withKernel(b.size(1), b.size(0), 1));
    }

    /** DoRA's m {@code [1, nOut]} as {@code [nOut]}, of a convolution as {@code [1, nOut, 1…]}. */
    public INDArray fileMagnitude(INDArray m) {
        return kernel.isEmpty() ? m.reshape(m.length()) : m.dup('c').reshape('c', withKernel(1, m.length(), 1));
    }

    /** Whether a tensor has the shape that {@link #fileMagnitude} gives to a convolution's. */
    public static boolean isFileMagnitude(long[] shape) {
        return shape.length >= 3 && shape.length <= 5 && shape[0] == 1
                && LongStream.of(shape).skip(2).allMatch(size -> size == 1);
    }

    /** The way back from {@link #fileA}. */
    public INDArray a(INDArray fileA) {
        INDArray rows = kernel.size() == 1 ? fileA.permute(0, 2, 1) : fileA;
        return rows.dup('c').reshape('c', fileA.size(0), fileA.length() / fileA.size(0)).transpose();
    }

    /** The way back from {@link #fileB}. */
    public INDArray b(INDArray fileB) {
        return fileB.reshape('c', fileB.size(0), fileB.size(1)).transpose();
    }

    /**
     * W or ΔW as the layer has it.
     *
     * @param weight {@code [nIn·kernel, nOut]}
     * @return {@code [nOut, nIn, kernel…]} for a convolution, the matrix itself for others
     */
    public INDArray weight(INDArray weight) {
        return kernel.isEmpty() ? weight : toFile(weight.transpose());
    }

    /** {@code [n, nIn·kernel]} to {@code [n, nIn, kernel…]}. */
    private INDArray toFile(INDArray rows) {
        long nIn = rows.size(1) / kernel.stream().reduce(1L, Math::multiplyExact);
        INDArray values = rows.dup('c');
        return kernel.size() == 1 ? values.reshape('c', rows.size(0), kernel.get(0), nIn).permute(0, 2, 1)
                : values.reshape('c', withKernel(rows.size(0), nIn, 0));
    }

    /** @param size in place of each of the kernel's; 0: the kernel's own */
    private long[] withKernel(long first, long second, long size) {
        LongStream sizes = kernel.stream().mapToLong(own -> size == 0 ? own : size);
        return LongStream.concat(LongStream.of(first, second), sizes).toArray();
    }

    @Override
    public String toString() {
        return embedding ? "an embedding" : kernel.isEmpty() ? "a matrix" : "a convolution with a kernel of " + kernel;
    }
}
