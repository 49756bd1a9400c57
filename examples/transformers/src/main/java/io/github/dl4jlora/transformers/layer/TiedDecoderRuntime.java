package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.DefaultGradient;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.layers.LossLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Runs {@link TiedDecoder}. For training and scores it computes only the logits of tokens that count, some rows at a time, so
 * that there is never an array of all logits; with G = dL/d(logits):
 *
 * <pre>
 * d(rows) = G·W      dW += Gᵀ·rows      db += Σ_rows G
 * </pre>
 */
final class TiedDecoderRuntime extends LossLayer implements KeyValueCache.User {

    /** Logits at a time: 16 MB in FLOAT, and enough rows for BLAS. */
    private static final int CHUNK = 1 << 22;

    private transient ComputationGraph graph;
    private transient KeyValueCache cache;
    /** The loss from the backward pass, until there is another input, label or mask. */
    private Double known;

    TiedDecoderRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    void setGraph(ComputationGraph graph) {
        this.graph = graph;
    }

    @Override
    public void use(KeyValueCache lent) {
        cache = lent;
    }

    TiedDecoder decoder() {
        return (TiedDecoder) (Object) layerConf();
    }

    /** The layer that holds a matrix, perhaps frozen. */
    private MatrixLayer<?> holder(String name) {
        if (graph == null) {
            throw MatrixLayer.notUsable(conf().getLayer().getLayerName(), name, "which it cannot reach, since its vertex was "
                    + "replaced. TransferLearning does that: freeze layers with LoRA.apply, which trains only adapters and "
                    + "trainable layers");
        }
        return MatrixLayer.in(graph, name, conf().getLayer().getLayerName());
    }

    private boolean trains(String name) {
        return MatrixLayer.trains(graph, name);
    }

    private INDArray words() {
        return holder(decoder().getWords()).getParam(TokenEmbeddings.WORDS);
    }

    /** {@code rows · Wᵀ + b} */
    private void logits(INDArray rows, INDArray logits) {
        Nd4j.gemm(rows, words(), logits, false, true, 1, 0);
        if (decoder().getBiases() != null) {
            logits.addiRowVector(holder(decoder().getBiases()).getParam(VocabularyBias.BIAS));
        }
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        INDArray rows = cache == null ? rows() : rows().getRow(input.size(0) - 1, true);
        INDArray logits = workspaces.createUninitialized(ArrayType.ACTIVATIONS, dataType,
                new long[]{rows.size(0), decoder().getNOut()}, 'c');
        logits(rows, logits);
        return logits;
    }

    private INDArray rows() {
        INDArray rows = input.castTo(dataType);
        return rows.ordering() == 'c' && rows.elementWiseStride() == 1 ? rows : rows.dup('c');
    }

    /** {@return of how many rows there are logits at a time} */
    static long rowsAtATime(long vocabulary, long rows) {
        return Math.min(Math.max(1, CHUNK / vocabulary), rows);
    }

    /** Processes a chunk of logits and the labels of its rows. */
    private interface Step {
        void take(int from, INDArray rows, INDArray logits, int[] labels);
    }

    /** Rows that count, packed, and their logits, chunk by chunk. */
    private void eachChunk(CountedTokens counted, LayerWorkspaceMgr workspaces, ArrayType lifetime, Step step) {
        INDArray packed = workspaces.createUninitialized(lifetime, dataType,
                new long[]{counted.size(), decoder().getNIn()}, 'c');
        Nd4j.pullRows(rows(), packed, 1, counted.rows());
        int most = (int) rowsAtATime(decoder().getNOut(), counted.size());
        INDArray buffer = workspaces.createUninitialized(lifetime, dataType,
                new long[]{most, decoder().getNOut()}, 'c');
        for (int from = 0; from < counted.size(); from += most) {
            int to = Math.min(from + most, counted.size());
            INDArray rows = packed.get(NDArrayIndex.interval(from, to), NDArrayIndex.all());
            INDArray logits = buffer.get(NDArrayIndex.interval(0, to - from), NDArrayIndex.all());
            logits(rows, logits);
            step.take(from, rows, logits, counted.labels(from, to));
        }
    }

    private CountedTokens counted() {
        if (input == null || labels == null) {
            throw new IllegalStateException("There is no loss without input and labels " + layerId());
        }
        holder(decoder().getWords());
        return CountedTokens.of(labels, maskArray, graph.getInput(0).size(0), input.size(0), decoder(),
                decoder().isShifted() ? kept() : null, layerId());
    }

    /** The tokens that are no padding; null in a network without the embeddings, which does not know. */
    private KeptTokens kept() {
        INDArray ids = graph.getInput(0);
        INDArray[] masks = graph.getInputMaskArrays();
        for (Layer layer : graph.getLayers()) {
            TokenEmbeddingsRuntime embeddings = MatrixLayer.inside(TokenEmbeddingsRuntime.class, layer);
            if (embeddings != null) {
                return KeptTokens.of(WholeNumbers.in(ids, "Token id", layerId()), (int) ids.size(1),
                        embeddings.layerConf().getPadding(), masks == null ? null : masks[0], layerId());
            }
        }
        return null;
    }

    @Override
    @SuppressWarnings("deprecation")
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        CountedTokens counted = counted();
        counted.requireSome(layerId());
        // DL4J divides the gradients by the size of the minibatch.
        double scale = (graph.conf().isMiniBatch() ? graph.batchSize() : 1.0) / counted.size();
        INDArray words = words();
        INDArray dWords = trains(decoder().getWords()) ? holder(decoder().getWords()).shareOf(TokenEmbeddings.WORDS) : null;
        String biases = decoder().getBiases();
        INDArray dBias = biases != null && trains(biases) ? holder(biases).shareOf(VocabularyBias.BIAS) : null;
        INDArray dPacked = workspaces.createUninitialized(ArrayType.BP_WORKING_MEM, dataType,
                new long[]{counted.size(), decoder().getNIn()}, 'c');
        double[] sum = new double[1];
        eachChunk(counted, workspaces, ArrayType.BP_WORKING_MEM, (from, rows, logits, ids) -> {
            sum[0] += TokenCrossEntropy.toGradient(logits, ids, scale);
            INDArray dRows = dPacked.get(NDArrayIndex.interval(from, from + ids.length), NDArrayIndex.all());
            Nd4j.gemm(logits, words, dRows, false, false, 1, 0);
            if (dWords != null) {
                Nd4j.gemm(logits, rows, dWords, true, false, 1, 1);
            }
            if (dBias != null) {
                dBias.addi(logits.sum(true, 0));
            }
        });
        known = sum[0] / counted.size();
        INDArray dRows = workspaces.create(ArrayType.ACTIVATION_GRAD, dataType, input.shape(), 'c');
        Nd4j.getExecutioner().scatterUpdate(ScatterUpdate.UpdateOp.ADD, dRows, Nd4j.createFromArray(counted.rows()), dPacked,
                new int[]{1});
        return new Pair<>(new DefaultGradient(), dRows);
    }

    @Override
    public double computeScore(double regularization, boolean training, LayerWorkspaceMgr workspaces) {
        if (known == null) {
            CountedTokens counted = counted();
            counted.requireSome(layerId());
            double sum = 0;
            for (double loss : losses(counted, workspaces)) {
                sum += loss;
            }
            known = sum / counted.size();
        }
        score = known + regularization;
        return score;
    }

    private double[] losses(CountedTokens counted, LayerWorkspaceMgr workspaces) {
        double[] losses = new double[counted.size()];
        eachChunk(counted, workspaces, ArrayType.FF_WORKING_MEM, (from, rows, logits, ids) ->
                System.arraycopy(TokenCrossEntropy.losses(logits, ids), 0, losses, from, ids.length));
        return losses;
    }

    /** {@return the mean loss over the tokens that count of each text, {@code [minibatch, 1]}; 0 for a text without any} */
    @Override
    public INDArray computeScoreForExamples(double regularization, LayerWorkspaceMgr workspaces) {
        CountedTokens counted = counted();
        double[] losses = counted.size() == 0 ? new double[0] : losses(counted, workspaces);
        INDArray means = Nd4j.createFromArray(counted.meansOfTexts(losses)).castTo(dataType).addi(regularization);
        return workspaces.leverageTo(ArrayType.ACTIVATIONS, means.reshape(means.length(), 1));
    }

    @Override
    public void setInput(INDArray input, LayerWorkspaceMgr workspaces) {
        known = null;
        super.setInput(input, workspaces);
    }

    @Override
    public void setLabels(INDArray labels) {
        if (labels != this.labels) {
            known = null;
        }
        super.setLabels(labels);
    }

    @Override
    public void setMaskArray(INDArray mask) {
        if (mask != maskArray) {
            known = null;
        }
        super.setMaskArray(mask);
    }

    /** DL4J's implementation would free the caller's labels. */
    @Override
    public void clear() {
        labels = null;
        known = null;
        super.clear();
    }
}
