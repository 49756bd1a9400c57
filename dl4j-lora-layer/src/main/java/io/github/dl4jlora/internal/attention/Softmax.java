package io.github.dl4jlora.internal.attention;

import io.github.dl4jlora.internal.blas.FastExp;
import io.github.dl4jlora.internal.blas.RowLoops;
import io.github.dl4jlora.internal.onednn.Rows;
import org.bytedeco.javacpp.FloatPointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.lang.ref.Reference;

/**
 * The softmax of each row of scores {@code [queries, keys]}, in 'c' order and in the host's memory. FLOAT is computed by oneDNN,
 * if there is no mask, or in loops over pieces that fit the first-level cache, DOUBLE by ND4J's operations.
 */
final class Softmax {

    /** What masks take away from scores: as in DL4J. */
    private static final double MASKED = 1e9;

    private static final int PIECE = 4096;

    /** What {@link FastExp} does not get below; taken away, it makes exponentials of masked scores zeros. */
    private static final float LEAST = FastExp.exp(Float.NEGATIVE_INFINITY);

    private float[] piece = new float[0];
    private float[] errors = new float[0];

    /**
     * Turns scores into probabilities.
     *
     * @param mask for each key a factor, 0 for none of it; null for no mask
     */
    void forward(INDArray scores, double @Nullable [] mask) {
        if (scores.dataType() != DataType.FLOAT) {
            forwardByOperations(scores, mask);
            return;
        }
        int keys = (int) scores.size(1);
        if (mask == null && Rows.softmax(scores, scores.size(0), keys)) {
            return;
        }
        float[] taken = mask == null ? null : taken(mask);
        FloatPointer all = (FloatPointer) scores.data().addressPointer();
        int most = wholeRows(keys);
        piece = room(piece, most);
        float[] x = piece;
        for (long from = 0; from < scores.length(); from += most) {
            int length = (int) Math.min(most, scores.length() - from);
            FloatPointer memory = all.getPointer(from);
            memory.get(x, 0, length);
            for (int row = 0; row < length; row += keys) {
                if (taken != null) {
                    for (int i = 0; i < keys; i++) {
                        x[row + i] += taken[i];
                    }
                }
                RowLoops.softmax(x, row, keys, RowLoops.largest(x, row, keys), LEAST);
            }
            memory.put(x, 0, length);
        }
        Reference.reachabilityFence(scores);
    }

    private static float[] taken(double[] mask) {
        float[] taken = new float[mask.length];
        for (int i = 0; i < mask.length; i++) {
            taken[i] = (float) ((mask[i] - 1) * MASKED);
        }
        return taken;
    }

    private static void forwardByOperations(INDArray scores, double @Nullable [] mask) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (mask != null) {
                scores.addiRowVector(Nd4j.createFromArray(mask).subi(1).muli(MASKED).castTo(scores.dataType()));
            }
            scores.subiColumnVector(scores.max(true, 1));
            Transforms.exp(scores, false);
            scores.diviColumnVector(scores.sum(true, 1));
        }
    }

    /** Turns {@code gradient}, dL/dP, into dL/d(scores) {@code = P ⊙ (dP - rowsum(P ⊙ dP))}. */
    void backward(INDArray probabilities, INDArray gradient) {
        if (gradient.dataType() != DataType.FLOAT) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                gradient.subiColumnVector(probabilities.mul(gradient).sum(true, 1)).muli(probabilities);
            }
            return;
        }
        int keys = (int) gradient.size(1);
        if (Rows.softmaxGradient(probabilities, gradient, gradient.size(0), keys)) {
            return;
        }
        FloatPointer allP = (FloatPointer) probabilities.data().addressPointer();
        FloatPointer allE = (FloatPointer) gradient.data().addressPointer();
        int most = wholeRows(keys);
        piece = room(piece, most);
        errors = room(errors, most);
        float[] p = piece;
        float[] e = errors;
        for (long from = 0; from < gradient.length(); from += most) {
            int length = (int) Math.min(most, gradient.length() - from);
            FloatPointer memory = allE.getPointer(from);
            allP.getPointer(from).get(p, 0, length);
            memory.get(e, 0, length);
            for (int row = 0; row < length; row += keys) {
                RowLoops.softmaxGradient(p, e, row, keys);
            }
            memory.put(e, 0, length);
        }
        Reference.reachabilityFence(probabilities);
        Reference.reachabilityFence(gradient);
    }

    private static int wholeRows(int keys) {
        return Math.max(1, PIECE / keys) * keys;
    }

    private static float[] room(float[] present, int length) {
        return present.length >= length ? present : new float[length];
    }
}
