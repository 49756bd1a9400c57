package io.github.dl4jlora.transformers.layer;

import io.github.dl4jlora.internal.blas.RowLoops;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.openblas.global.openblas;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.Arrays;

/**
 * The keys and values that one attention vertex has seen of a text, and the attention of new tokens to these and to each other.
 *
 * <pre>
 * keys, values  [heads, capacity, d], so that what a head reads lies in one piece
 * </pre>
 */
final class CachedAttention implements AutoCloseable {

    private final int heads;
    private final int longest;
    private INDArray keys;
    private INDArray values;

    /** @param longest text that there are positions for */
    CachedAttention(int heads, int longest) {
        this.heads = heads;
        this.longest = longest;
    }

    /**
     * Keeps keys and values of new tokens, and computes what the tokens attend to: each sees itself and all before it.
     *
     * @param query  {@code [new tokens, hidden]}; as are keys, values and output; the first three may be views of columns
     * @param before tokens before the new ones
     */
    void forward(INDArray query, INDArray key, INDArray value, int before, INDArray output, LayerWorkspaceMgr workspaces) {
        int seen = before + (int) query.size(0);
        reserve(seen, before, query);
        INDArray scores = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, query.dataType(),
                new long[]{query.size(0), seen}, 'c');
        if (HostFloats.reachesRows(query) && HostFloats.reachesRows(key) && HostFloats.reachesRows(value)) {
            keep(key, keys, before);
            keep(value, values, before);
            inFloats(query, scores, output);
        } else {
            put(key, keys, before);
            put(value, values, before);
            inAnyType(query.dup('c'), scores, output);
        }
    }

    /** Grows by doubling, so that a token costs the same on average however long the text is. */
    private void reserve(int seen, int before, INDArray like) {
        if (keys != null && keys.size(1) >= seen) {
            return;
        }
        long capacity = Math.min(longest, Math.max(seen, keys == null ? 0 : 2 * keys.size(1)));
        keys = grown(keys, capacity, before, like);
        values = grown(values, capacity, before, like);
    }

    private INDArray grown(INDArray old, long capacity, int before, INDArray like) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            INDArray array = Nd4j.createUninitialized(like.dataType(), new long[]{heads, capacity, like.size(1) / heads}, 'c');
            if (old != null) {
                first(array, before).assign(first(old, before));
                old.close();
            }
            return array;
        }
    }

    private static INDArray first(INDArray cached, long tokens) {
        return cached.get(NDArrayIndex.all(), NDArrayIndex.interval(0, tokens), NDArrayIndex.all());
    }

    private void keep(INDArray rows, INDArray cached, int before) {
        int d = (int) cached.size(2);
        HostFloats from = HostFloats.of(rows);
        HostFloats to = HostFloats.of(cached);
        for (int row = 0; row < rows.size(0); row++) {
            for (int head = 0; head < heads; head++) {
                openblas.cblas_scopy(d, from.at(row(rows, row) + (long) head * d), 1,
                        to.at(place(cached, head, before + row)), 1);
            }
        }
        HostFloats.keep(from, to);
    }

    private void put(INDArray rows, INDArray cached, int before) {
        INDArray byHead = rows.dup('c').reshape('c', rows.size(0), heads, cached.size(2)).permute(1, 0, 2);
        cached.get(NDArrayIndex.all(), NDArrayIndex.interval(before, before + rows.size(0)), NDArrayIndex.all()).assign(byHead);
    }

    private static long place(INDArray cached, int head, int token) {
        return (head * cached.size(1) + token) * cached.size(2);
    }

    /** Where a row begins. The stride of a single row means nothing. */
    private static long row(INDArray rows, int row) {
        return row == 0 ? 0 : row * rows.stride(0);
    }

    private void inFloats(INDArray query, INDArray scores, INDArray output) {
        HostFloats q = HostFloats.of(query);
        HostFloats k = HostFloats.of(keys);
        HostFloats v = HostFloats.of(values);
        HostFloats s = HostFloats.of(scores);
        HostFloats out = HostFloats.of(output);
        int rows = (int) query.size(0);
        int seen = (int) scores.size(1);
        int d = (int) keys.size(2);
        float scale = (float) (1 / Math.sqrt(d));
        float[] row = new float[seen];
        for (int head = 0; head < heads; head++) {
            FloatPointer queries = q.at((long) head * d);
            FloatPointer headKeys = k.at(place(keys, head, 0));
            FloatPointer headValues = v.at(place(values, head, 0));
            FloatPointer mixed = out.at((long) head * d);
            if (rows == 1) {
                openblas.cblas_sgemv(openblas.CblasRowMajor, openblas.CblasNoTrans, seen, d, scale, headKeys, d, queries, 1, 0,
                        s.at(0), 1);
                softmax(s, row, 0, seen);
                openblas.cblas_sgemv(openblas.CblasRowMajor, openblas.CblasTrans, seen, d, 1, headValues, d, s.at(0), 1, 0,
                        mixed, 1);
                continue;
            }
            openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasTrans, rows, seen, d, scale,
                    queries, (int) query.stride(0), headKeys, d, 0, s.at(0), seen);
            for (int i = 0; i < rows; i++) {
                softmax(s, row, (long) i * seen, seen - rows + i + 1);
            }
            openblas.cblas_sgemm(openblas.CblasRowMajor, openblas.CblasNoTrans, openblas.CblasNoTrans, rows, d, seen, 1, s.at(0),
                    seen, headValues, d, 0, mixed, heads * d);
        }
        HostFloats.keep(q, k, v, s, out);
    }

    /** @param seen of the row's scores; the rest becomes 0 */
    private static void softmax(HostFloats scores, float[] row, long from, int seen) {
        scores.read(from, row, seen);
        RowLoops.softmax(row, 0, seen, RowLoops.largest(row, 0, seen), 0);
        Arrays.fill(row, seen, row.length, 0);
        scores.write(from, row, row.length);
    }

    private void inAnyType(INDArray query, INDArray scores, INDArray output) {
        long rows = query.size(0);
        long seen = scores.size(1);
        long d = keys.size(2);
        for (int head = 0; head < heads; head++) {
            INDArray columns = query.get(NDArrayIndex.all(), NDArrayIndex.interval(head * d, (head + 1) * d)).dup('c');
            scores.assign(Nd4j.matmul(columns, first(keys.slice(head), seen, d), false, true, false)).divi(Math.sqrt(d));
            for (long row = 0; row < rows - 1; row++) {
                scores.get(NDArrayIndex.point(row), NDArrayIndex.interval(seen - rows + row + 1, seen))
                        .assign(Double.NEGATIVE_INFINITY);
            }
            scores.subiColumnVector(scores.max(true, 1));
            Transforms.exp(scores, false);
            scores.diviColumnVector(scores.sum(true, 1));
            output.get(NDArrayIndex.all(), NDArrayIndex.interval(head * d, (head + 1) * d))
                    .assign(Nd4j.matmul(scores, first(values.slice(head), seen, d)));
        }
    }

    private static INDArray first(INDArray ofHead, long tokens, long d) {
        return ofHead.get(NDArrayIndex.interval(0, tokens), NDArrayIndex.all()).reshape('c', tokens, d);
    }

    long bytes() {
        return keys == null ? 0 : 2 * keys.length() * keys.dataType().width();
    }

    @Override
    public void close() {
        if (keys != null) {
            keys.close();
            values.close();
            keys = null;
            values = null;
        }
    }
}
