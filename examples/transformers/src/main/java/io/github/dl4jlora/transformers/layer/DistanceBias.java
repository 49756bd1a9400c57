package io.github.dl4jlora.transformers.layer;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** Adds a {@link RelativeAttentionBias} to scores, and sums its gradient over texts. */
final class DistanceBias implements ScoreBias {

    private final INDArray bias;
    private final int heads;
    private final int tokens;
    /** By head and distance, from -(tokens - 1) on; null where loops in Java cannot reach the arrays. */
    private final float[][] values;
    private final double[][] sums;
    /** The gradient, where {@link #sums} is null. */
    private INDArray sum;

    /**
     * @param bias   {@code [buckets, heads]}
     * @param tokens of each text, padding included
     * @param scores an array as those that there will be
     */
    DistanceBias(INDArray bias, int tokens, INDArray scores) {
        this.bias = bias;
        this.heads = (int) bias.size(1);
        this.tokens = tokens;
        boolean loops = HostFloats.reaches(scores, bias) && bias.ordering() == 'c';
        this.values = loops ? values() : null;
        this.sums = loops ? new double[heads][2 * tokens - 1] : null;
    }

    private float[][] values() {
        float[] all = new float[RelativeAttentionBias.BUCKETS * heads];
        HostFloats.of(bias).read(0, all, all.length);
        float[][] byHead = new float[heads][2 * tokens - 1];
        for (int at = 0; at < 2 * tokens - 1; at++) {
            for (int head = 0; head < heads; head++) {
                byHead[head][at] = all[bucket(at) * heads + head];
            }
        }
        return byHead;
    }

    private int bucket(int at) {
        return RelativeAttentionBias.bucket(at - (tokens - 1));
    }

    @Override
    public void add(ScoreBlock block, INDArray scores) {
        if (values == null) {
            INDArray picked = Nd4j.createUninitialized(bias.dataType(), scores.length() / block.heads(), heads);
            Nd4j.pullRows(bias, picked, 1, buckets(block));
            scores.addi(ofBlock(picked, block).transpose().dup('c').reshape('c', scores.shape()).castTo(scores.dataType()));
            return;
        }
        forEachRow(block, scores, true, (row, from, head, at) -> {
            float[] added = values[head];
            for (int i = 0; i < block.columns(); i++) {
                row[from + i] += added[at + i];
            }
        });
    }

    @Override
    public void backward(ScoreBlock block, INDArray dScores) {
        if (values == null) {
            sum = sum == null ? Nd4j.zeros(dScores.dataType(), bias.shape()) : sum;
            INDArray all = Nd4j.zeros(dScores.dataType(), dScores.length() / block.heads(), heads);
            ofBlock(all, block).assign(dScores.reshape('c', block.heads(), all.size(0)).transpose());
            scatter(all, buckets(block));
            return;
        }
        forEachRow(block, dScores, false, (row, from, head, at) -> {
            double[] collected = sums[head];
            for (int i = 0; i < block.columns(); i++) {
                collected[at + i] += row[from + i];
            }
        });
    }

    /** The columns of a block's heads. */
    private static INDArray ofBlock(INDArray all, ScoreBlock block) {
        return all.get(NDArrayIndex.all(), NDArrayIndex.interval(block.head(), block.head() + block.heads()));
    }

    @SuppressWarnings("deprecation")
    private void scatter(INDArray rows, int[] buckets) {
        Nd4j.getExecutioner().scatterUpdate(ScatterUpdate.UpdateOp.ADD, sum, Nd4j.createFromArray(buckets), rows, new int[]{1});
    }

    /** Adds the sums to the gradient {@code [buckets, heads]}. */
    void addGradientTo(INDArray dBias) {
        if (values == null) {
            dBias.addi(sum.castTo(dBias.dataType()));
            return;
        }
        double[][] byBucket = new double[RelativeAttentionBias.BUCKETS][heads];
        for (int at = 0; at < 2 * tokens - 1; at++) {
            for (int head = 0; head < heads; head++) {
                byBucket[bucket(at)][head] += sums[head][at];
            }
        }
        dBias.addi(Nd4j.createFromArray(byBucket).castTo(dBias.dataType()));
    }

    /** Of each score of one of a block's heads. */
    private static int[] buckets(ScoreBlock block) {
        int[] buckets = new int[block.rows() * block.columns()];
        for (int i = 0; i < buckets.length; i++) {
            buckets[i] = RelativeAttentionBias.bucket(i % block.columns() - (block.row() + i / block.columns()));
        }
        return buckets;
    }

    /** Processes the scores of a row, from {@code from} on; the first is of the distance at {@code at}. */
    @FunctionalInterface
    private interface Row {
        void run(float[] row, int from, int head, int at);
    }

    private void forEachRow(ScoreBlock block, INDArray scores, boolean write, Row each) {
        HostFloats floats = HostFloats.of(scores);
        float[] some = new float[HostFloats.wholeRows(block.columns())];
        HostFloats.forEachBlock(block.length(), some.length, (from, length) -> {
            floats.read(from, some, length);
            for (int start = 0; start < length; start += block.columns()) {
                int row = (int) ((from + start) / block.columns());
                each.run(some, start, block.head() + row / block.rows(), tokens - 1 - block.row() - row % block.rows());
            }
            if (write) {
                floats.write(from, some, length);
            }
        });
    }
}
