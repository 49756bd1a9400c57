package io.github.dl4jlora.transformers.contrastive;

import io.github.dl4jlora.frozen.FrozenBaseLayer;
import io.github.dl4jlora.transformers.layer.ModuleNames;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/** The texts of a batch in parts of about one length, each cut to its longest text; the longest part comes first. */
final class Parts {

    private final INDArray[] inputs;
    private final INDArray[] masks;
    private final List<Part> parts = new ArrayList<>();

    /**
     * Some texts of the batch.
     *
     * @param rows   their places in the batch
     * @param tokens ids that each has, shorter ones padded
     */
    record Part(int[] rows, long tokens) {
    }

    /**
     * @param inputs of the whole batch, the first of which has a row for each text
     * @param masks  of features; null for none
     * @param texts  of a part, at most
     */
    Parts(ComputationGraphConfiguration configuration, INDArray[] inputs, INDArray[] masks, int texts) {
        this.inputs = inOrder(inputs);
        this.masks = masks == null ? null : inOrder(masks);
        int rows = (int) inputs[0].size(0);
        int[] lengths = lengths(configuration, rows);
        int[] longestFirst = IntStream.range(0, rows).boxed().sorted(Comparator.comparingInt(row -> -lengths[row]))
                .mapToInt(Integer::intValue).toArray();
        for (int from = 0; from < rows; from += texts) {
            parts.add(new Part(Arrays.copyOfRange(longestFirst, from, Math.min(from + texts, rows)),
                    lengths[longestFirst[from]]));
        }
    }

    /** Of the batch. */
    long rows() {
        return inputs[0].size(0);
    }

    List<Part> all() {
        return parts;
    }

    /** The tokens of each text; all the same where it is not known what padding is. */
    private int[] lengths(ComputationGraphConfiguration configuration, int rows) {
        int[] lengths = new int[rows];
        Integer padding = padding(configuration);
        if (padding == null || !ofTokens()) {
            return lengths;
        }
        List<double[]> values = Arrays.stream(inputs).map(Parts::numbers).toList();
        List<double[]> kept = masks == null ? List.of()
                : Arrays.stream(masks).filter(Objects::nonNull).map(Parts::numbers).toList();
        int tokens = (int) inputs[0].size(1);
        for (int row = 0; row < rows; row++) {
            int length = tokens;
            while (length > 1 && isPadding(row * tokens + length - 1, padding, values, kept)) {
                length--;
            }
            lengths[row] = length;
        }
        return lengths;
    }

    /** Whether there is nothing but padding in all inputs: ids, perhaps others' ids, and types. */
    private static boolean isPadding(int place, int padding, List<double[]> values, List<double[]> kept) {
        return values.get(0)[place] == padding && kept.stream().allMatch(mask -> mask[place] == 0)
                && values.stream().allMatch(input -> input[place] == padding || input[place] == 0);
    }

    private static double[] numbers(INDArray matrix) {
        return matrix.reshape(matrix.length()).toDoubleVector();
    }

    /** Row by row without gaps, since ND4J finds no rows but the first in a view that leaves gaps between them. */
    private static INDArray[] inOrder(INDArray[] arrays) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return Arrays.stream(arrays).map(array -> array == null || array.ordering() == 'c' && !array.isView() ? array
                    : array.dup('c')).toArray(INDArray[]::new);
        }
    }

    /** Whether all there is has a row for each text and a column for each token. */
    private boolean ofTokens() {
        for (INDArray input : inputs) {
            if (input.rank() != 2 || !Arrays.equals(input.shape(), inputs[0].shape())) {
                return false;
            }
        }
        for (int i = 0; masks != null && i < masks.length; i++) {
            if (masks[i] != null && !Arrays.equals(masks[i].shape(), inputs[0].shape())) {
                return false;
            }
        }
        return true;
    }

    /** {@return null if it is not known, or may be a token that ends a text} */
    private Integer padding(ComputationGraphConfiguration configuration) {
        Integer found = null;
        for (GraphVertex vertex : configuration.getVertices().values()) {
            if (vertex instanceof LayerVertex layer
                    && stock(layer.getLayerConf().getLayer()) instanceof TokenEmbeddings embeddings) {
                boolean token = embeddings.getNames() == ModuleNames.GPT2 && embeddings.getPadding() >= 0 && masks == null;
                if (token || found != null && found != embeddings.getPadding()) {
                    return null;
                }
                found = embeddings.getPadding();
            }
        }
        return found;
    }

    private static Layer stock(Layer layer) {
        return layer instanceof FrozenBaseLayer frozen ? frozen.getOrigin() : layer;
    }

    INDArray[] inputs(Part part) {
        return of(inputs, part);
    }

    /** {@return null if there are none} */
    INDArray[] masks(Part part) {
        return masks == null ? null : of(masks, part);
    }

    private static INDArray[] of(INDArray[] whole, Part part) {
        INDArray[] some = new INDArray[whole.length];
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            for (int i = 0; i < whole.length; i++) {
                if (whole[i] != null) {
                    INDArray all = rows(whole[i], part.rows);
                    some[i] = part.tokens == 0 || part.tokens == all.size(1) ? all
                            : all.get(NDArrayIndex.all(), NDArrayIndex.interval(0, part.tokens)).dup('c');
                }
            }
        }
        return some;
    }

    /** A copy of some rows of an array of any rank, which has no gaps between them. */
    static INDArray rows(INDArray whole, int[] rows) {
        long[] shape = whole.shape().clone();
        shape[0] = rows.length;
        INDArray some = Nd4j.createUninitialized(whole.dataType(), shape, 'c');
        for (int i = 0; i < rows.length; i++) {
            some.get(NDArrayIndex.point(i)).assign(whole.get(NDArrayIndex.point(rows[i])));
        }
        return some;
    }
}
