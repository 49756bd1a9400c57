package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Orders documents by the cosine of their embeddings and the query's: the encoder reads either text alone, unlike a
 * {@link BankReranker}.
 */
record EncoderReranker(BankEncoder encoder) implements Reranker {

    @Override
    public String name() {
        return encoder.name();
    }

    @Override
    public Read read(String query, List<String> documents, int mostTokens) {
        List<Tokenizer.Tokens> tokens = new ArrayList<>();
        tokens.add(encoder.tokens(encoder.texts().query(query)));
        if (tokens.get(0).isCut()) {
            throw Problem.badRequest("The query has more than " + encoder.maxTokens() + " tokens, which is the limit. "
                    + "Shorten it");
        }
        documents.forEach(document -> tokens.add(encoder.tokens(encoder.texts().document(document), mostTokens)));
        return new Tokens(tokens);
    }

    /** The query's, then each document's. */
    private final class Tokens implements Read {

        private final List<Tokenizer.Tokens> texts;

        Tokens(List<Tokenizer.Tokens> texts) {
            this.texts = texts;
        }

        @Override
        public long tokens() {
            return texts.stream().mapToLong(text -> text.ids().length).sum();
        }

        @Override
        public long numbers() {
            return (long) texts.size() * encoder.width();
        }

        @Override
        public BitSet cut() {
            return TextIntake.indexes(texts.subList(1, texts.size()), Tokenizer.Tokens::isCut);
        }

        @Override
        public CompletableFuture<float[]> scores(AdapterMix mix, Function<BankRequest, CompletableFuture<INDArray[]>> bank) {
            return encoder.embed(mix, texts.stream().map(Tokenizer.Tokens::ids).toList(), bank).thenApply(embeddings -> {
                float[] query = embeddings[0];
                double length = length(query);
                float[] scores = new float[embeddings.length - 1];
                for (int i = 0; i < scores.length; i++) {
                    float[] document = embeddings[i + 1];
                    // Not all encoders give vectors of length 1.
                    double lengths = length * length(document);
                    scores[i] = lengths == 0 ? 0 : (float) (product(query, document) / lengths);
                }
                return scores;
            });
        }
    }

    private static double length(float[] vector) {
        return Math.sqrt(product(vector, vector));
    }

    private static double product(float[] a, float[] b) {
        return IntStream.range(0, a.length).mapToDouble(i -> (double) a[i] * b[i]).sum();
    }
}
