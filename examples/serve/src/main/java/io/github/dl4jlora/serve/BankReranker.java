package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankRequest;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * A cross-encoder in a bank: it reads query and document as one text, and gives one number.
 *
 * @param name      the model's own
 * @param hasTypes  whether the types of tokens are the network's second input
 * @param longest   tokens that the network reads
 * @param tokenizer not closed by this
 */
record BankReranker(String name, boolean hasTypes, int longest, Tokenizer tokenizer) implements Reranker {

    /** Characters of queries that a request may have read: the tokenizer reads the query again with each document. */
    private static final long MOST_READ = 8 << 20;

    @Override
    public Read read(String query, List<String> documents, int mostTokens) {
        int most = tokenizer.maxTokens() / 2;
        if (query.length() > BankEncoder.LONGEST_LOOKED_AT || tokenizer.ids(query).length > most) {
            throw Problem.badRequest("The query has more than " + most + " tokens, half of those that query and document may "
                    + "have together. Shorten it");
        }
        if (query.length() * (long) documents.size() > MOST_READ) {
            throw Problem.badRequest("The query has " + query.length() + " characters, and is read with each of "
                    + documents.size() + " documents, but only " + MOST_READ + " characters are read in all. Shorten the query, "
                    + "or send fewer documents at a time");
        }
        List<Tokenizer.PairTokens> pairs = documents.stream().map(document -> pair(query, document)).toList();
        if (mostTokens >= tokenizer.maxTokens()) {
            return new Pairs(pairs);
        }
        Tokenizer.Around around = tokenizer.aroundSecond(query);
        int longest = Math.min(tokenizer.maxTokens(), mostTokens + around.before().length + around.after().length);
        return new Pairs(pairs.stream().map(pair -> pair.cut(longest, tokenizer.last(around, longest))).toList());
    }

    private Tokenizer.PairTokens pair(String query, String document) {
        if (document.length() <= BankEncoder.LONGEST_LOOKED_AT) {
            return tokenizer.pair(query, document);
        }
        Tokenizer.PairTokens some = tokenizer.pair(query, BankEncoder.wholeCharacters(document, tokenizer));
        return new Tokenizer.PairTokens(some.ids(), some.types(), true);
    }

    /** The query with each document. */
    private final class Pairs implements Read {

        private final List<Tokenizer.PairTokens> pairs;

        Pairs(List<Tokenizer.PairTokens> pairs) {
            this.pairs = pairs;
        }

        @Override
        public long tokens() {
            return pairs.stream().mapToLong(pair -> pair.ids().length).sum();
        }

        @Override
        public long numbers() {
            // A score, and the types that are held beside the tokens.
            return pairs.size() + tokens();
        }

        @Override
        public BitSet cut() {
            return TextIntake.indexes(pairs, Tokenizer.PairTokens::isCut);
        }

        @Override
        public CompletableFuture<float[]> scores(AdapterMix mix, Function<BankRequest, CompletableFuture<INDArray[]>> bank) {
            return new PaddedBatches(pairs.stream().mapToInt(pair -> pair.ids().length).toArray(), longest)
                    .rows((batch, length) -> request(mix, batch.stream().map(pairs::get).toList(), length), bank)
                    .thenApply(rows -> {
                        float[] scores = new float[rows.length];
                        for (int i = 0; i < scores.length; i++) {
                            scores[i] = rows[i][0];
                        }
                        return scores;
                    });
        }
    }

    private BankRequest request(AdapterMix mix, List<Tokenizer.PairTokens> pairs, int length) {
        INDArray ids = Tokenizer.padded(pairs.stream().map(Tokenizer.PairTokens::ids).toList(), tokenizer.padding(), length);
        return hasTypes ? BankRequest.of(mix, ids, Tokenizer.padded(pairs.stream().map(Tokenizer.PairTokens::types).toList(), 0,
                length)) : BankRequest.of(mix, ids);
    }
}
