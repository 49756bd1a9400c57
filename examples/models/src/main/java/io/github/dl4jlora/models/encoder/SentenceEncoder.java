package io.github.dl4jlora.models.encoder;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * Texts to embeddings, through {@link PretrainedEncoder#sentenceEncoder}, or that under an adapter, or in a bank:
 *
 * <pre>{@code
 * SentenceEncoder encoder = new SentenceEncoder(tokenizer, ids -> bank.output("words", ids), 32);
 * INDArray embeddings = encoder.embed(List.of("a text", "another"));        // [2, 384], each of length 1
 * }</pre>
 *
 * <p>Texts of about one length go through the network together, so that little of a batch is padding. Any number of threads may
 * share an encoder whose network they may share: a bank, not a ComputationGraph.
 */
public final class SentenceEncoder {

    private final Tokenizer tokenizer;
    private final UnaryOperator<INDArray> network;
    private final int batch;

    /**
     * @param tokenizer stays the caller's, who closes it when the encoder is no longer used
     * @param network   from token ids {@code [texts, tokens]} with the tokenizer's padding, to embeddings {@code [texts, hidden]}
     * @param batch     how many texts go through it at a time
     * @throws IllegalArgumentException if that is less than 1
     */
    public SentenceEncoder(Tokenizer tokenizer, UnaryOperator<INDArray> network, int batch) {
        if (batch < 1) {
            throw new IllegalArgumentException("batch is " + batch + ", but must be at least 1");
        }
        this.tokenizer = Objects.requireNonNull(tokenizer, "tokenizer");
        this.network = Objects.requireNonNull(network, "network");
        this.batch = batch;
    }

    /**
     * {@return an embedding in each row, {@code [texts, hidden]}, in the order of the texts}
     *
     * @throws IllegalArgumentException if there is no text
     */
    public INDArray embed(List<String> texts) {
        if (texts.isEmpty()) {
            throw new IllegalArgumentException("There is no text to embed: give at least one");
        }
        List<int[]> ids = texts.stream().map(tokenizer::ids).toList();
        int[] order = IntStream.range(0, ids.size()).boxed().sorted(Comparator.comparingInt(text -> ids.get(text).length))
                .mapToInt(Integer::intValue).toArray();
        INDArray embeddings = null;
        for (int from = 0; from < order.length; from += batch) {
            int[] chosen = IntStream.range(from, Math.min(from + batch, order.length)).map(i -> order[i]).toArray();
            INDArray rows = network.apply(Tokenizer.padded(IntStream.of(chosen).mapToObj(ids::get).toList(),
                    tokenizer.padding()));
            if (embeddings == null) {
                embeddings = Nd4j.createUninitialized(rows.dataType(), order.length, rows.size(1));
            }
            for (int i = 0; i < chosen.length; i++) {
                embeddings.putRow(chosen[i], rows.get(NDArrayIndex.point(i), NDArrayIndex.all()));
            }
        }
        return embeddings;
    }
}
