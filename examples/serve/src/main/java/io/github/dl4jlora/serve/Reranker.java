package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankRequest;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Says how well documents answer a query. */
interface Reranker {

    /** The model's own name. */
    String name();

    /**
     * Reads texts; documents that are too long are cut.
     *
     * @param mostTokens of each document
     * @throws Problem if the query is too long
     */
    Read read(String query, List<String> documents, int mostTokens);

    /** A query and documents, as tokens. */
    interface Read {

        /** How many there are, of which each is computed once. */
        long tokens();

        /** Numbers that are computed of them. */
        long numbers();

        /** Documents that were longer. */
        BitSet cut();

        /**
         * Computes scores.
         *
         * @param bank answers requests
         * @return one for each document, higher where it answers better
         */
        CompletableFuture<float[]> scores(AdapterMix mix, Function<BankRequest, CompletableFuture<INDArray[]>> bank);
    }
}
