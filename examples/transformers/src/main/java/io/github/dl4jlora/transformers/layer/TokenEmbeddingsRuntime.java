package io.github.dl4jlora.transformers.layer;

import org.deeplearning4j.nn.api.MaskState;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.scatter.ScatterUpdate;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Arrays;
import java.util.stream.IntStream;

/** Runs {@link TokenEmbeddings}. Ids have no gradient, so backpropagation returns null for the input. */
final class TokenEmbeddingsRuntime extends MatrixLayer<TokenEmbeddings> implements KeyValueCache.User {

    private transient KeyValueCache cache;

    TokenEmbeddingsRuntime(NeuralNetConfiguration conf, DataType type) {
        super(conf, type);
    }

    @Override
    public void use(KeyValueCache lent) {
        cache = lent;
    }

    @Override
    public INDArray activate(boolean training, LayerWorkspaceMgr workspaces) {
        assertInputSet(false);
        beginPass(workspaces);
        int[] ids = checkedIds();
        if (cache == null) {
            KeptTokens.require(ids, (int) tokens(), layerConf().getPadding(), maskArray,
                    layerConf().getNames() == ModuleNames.GPT2, layerId());
        }
        INDArray words = getParam(TokenEmbeddings.WORDS);
        INDArray rows = workspaces.createUninitialized(ArrayType.ACTIVATIONS, words.dataType(),
                new long[]{ids.length, words.size(1)}, 'c');
        Nd4j.pullRows(words, rows, 1, inVocabulary(ids));
        addPositions(ids, rows, workspaces);
        if (layerConf().isTyped()) {
            addRows(getParam(TokenEmbeddings.TYPES), checkedTypes(), rows, workspaces);
            return rows;
        }
        return layerConf().getTypes() == 0 ? rows : rows.addiRowVector(getParam(TokenEmbeddings.TYPES).getRow(0, true));
    }

    /** The number of tokens of each text, padding included. */
    private long tokens() {
        return layerConf().isTyped() ? input.size(1) / 2 : input.size(1);
    }

    private static void addRows(INDArray matrix, int[] which, INDArray rows, LayerWorkspaceMgr workspaces) {
        INDArray added = workspaces.createUninitialized(ArrayType.FF_WORKING_MEM, rows.dataType(), rows.shape(), 'c');
        Nd4j.pullRows(matrix, added, 1, which);
        rows.addi(added);
    }

    private void addPositions(int[] ids, INDArray rows, LayerWorkspaceMgr workspaces) {
        INDArray matrix = getParam(TokenEmbeddings.POSITIONS);
        long tokens = tokens();
        if (cache != null) {
            addRows(matrix, IntStream.range(cache.size(), cache.size() + ids.length).toArray(), rows, workspaces);
        } else if (layerConf().isPositionsFromPadding()) {
            addRows(matrix, positionsFromPadding(ids), rows, workspaces);
        } else {
            rows.reshape('c', input.size(0), tokens * rows.size(1)).addiRowVector(first(matrix, tokens));
        }
    }

    /** The first positions one after the other, as a row vector. */
    private static INDArray first(INDArray matrix, long tokens) {
        return matrix.get(NDArrayIndex.interval(0, tokens), NDArrayIndex.all()).reshape('c', 1, tokens * matrix.size(1));
    }

    /** RoBERTa's: see {@link TokenEmbeddings}. */
    private int[] positionsFromPadding(int[] ids) {
        int padding = layerConf().getPadding();
        int tokens = (int) tokens();
        int[] positions = new int[ids.length];
        for (int text = 0; text < ids.length; text += tokens) {
            int last = padding;
            for (int i = text; i < text + tokens; i++) {
                positions[i] = ids[i] == padding ? padding : ++last;
            }
        }
        return positions;
    }

    private int[] checkedIds() {
        if (input.rank() != 2 || input.isEmpty()) {
            throw new IllegalArgumentException("Token ids have shape " + Arrays.toString(input.shape())
                    + ", expected [minibatch, tokens] " + layerId());
        }
        if (layerConf().isTyped() && input.size(1) % 2 != 0) {
            throw new IllegalArgumentException("Token ids and types have shape " + Arrays.toString(input.shape())
                    + ", expected [minibatch, 2·tokens], as TypedIds gives them " + layerId());
        }
        int tokens = (int) tokens();
        int[] ids = WholeNumbers.in(input.get(NDArrayIndex.all(), NDArrayIndex.interval(0, tokens)), "Token id", layerId());
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] != layerConf().getPadding() && (ids[i] < 0 || ids[i] >= layerConf().getNIn())) {
                throw new IllegalArgumentException("Token id " + ids[i] + ", token " + i % tokens + " of text " + i / tokens
                        + ", is outside the vocabulary of " + layerConf().getNIn() + " tokens: was the text tokenized by "
                        + "another model's tokenizer? " + layerId());
            }
        }
        requireRoom(ids, tokens);
        return ids;
    }

    private int[] checkedTypes() {
        int tokens = (int) tokens();
        int[] types = WholeNumbers.in(input.get(NDArrayIndex.all(), NDArrayIndex.interval(tokens, 2L * tokens)), "Token type",
                layerId());
        for (int i = 0; i < types.length; i++) {
            if (types[i] < 0 || types[i] >= layerConf().getTypes()) {
                throw new IllegalArgumentException("Token type " + types[i] + ", token " + i % tokens + " of text " + i / tokens
                        + ", is outside the " + layerConf().getTypes() + " types, which are counted from 0: give 0 for the "
                        + "tokens of a first text and 1 for those of a second " + layerId());
            }
        }
        return types;
    }

    /** Only RoBERTa's positions leave out padding, so that padding may exceed them. */
    private void requireRoom(int[] ids, int tokens) {
        long room = layerConf().longestText();
        for (int text = 0; tokens > room && text < input.size(0); text++) {
            long taken = layerConf().isPositionsFromPadding() ? Arrays.stream(ids, text * tokens, (text + 1) * tokens)
                    .filter(id -> id != layerConf().getPadding()).count() : tokens;
            if (taken > room) {
                throw new IllegalArgumentException("Token ids have shape [" + input.size(0) + ", " + tokens + "], and text "
                        + text + " has " + taken + " tokens, but there are positions for at most " + room
                        + " tokens: cut longer texts "
                        + layerId());
            }
        }
    }

    /**
     * Keeps a mask of the ids, to compare it with the ids, and passes on none: every layer above has a row for each token, but
     * DL4J's masks have a row for each text.
     */
    @Override
    public Pair<INDArray, MaskState> feedForwardMaskArray(INDArray mask, MaskState state, int minibatch) {
        setMaskArray(mask);
        return null;
    }

    /** With token 0 in place of padding that is not a token. */
    private static int[] inVocabulary(int[] ids) {
        return Arrays.stream(ids).map(id -> Math.max(id, 0)).toArray();
    }

    @Override
    public Pair<Gradient, INDArray> backpropGradient(INDArray epsilon, LayerWorkspaceMgr workspaces) {
        assertInputSet(true);
        int[] ids = checkedIds();
        INDArray rows = epsilon.ordering() == 'c' ? epsilon : epsilon.dup('c');
        scatter(rows, inVocabulary(ids), sumOf(TokenEmbeddings.WORDS));
        INDArray positions = sumOf(TokenEmbeddings.POSITIONS);
        if (layerConf().isPositionsFromPadding()) {
            scatter(rows, positionsFromPadding(ids), positions);
        } else {
            long tokens = tokens();
            first(positions, tokens).addi(rows.reshape('c', input.size(0), tokens * rows.size(1)).sum(true, 0));
        }
        if (layerConf().isTyped()) {
            scatter(rows, checkedTypes(), sumOf(TokenEmbeddings.TYPES));
        } else if (layerConf().getTypes() > 0) {
            sumOf(TokenEmbeddings.TYPES).getRow(0, true).addi(rows.sum(true, 0));
        }
        return new Pair<>(gradients(), null);
    }

    @SuppressWarnings("deprecation")
    private static void scatter(INDArray rows, int[] to, INDArray sums) {
        Nd4j.getExecutioner().scatterUpdate(ScatterUpdate.UpdateOp.ADD, sums, Nd4j.createFromArray(to), rows, new int[]{1});
    }
}
