package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.BankRequest;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Texts of one caller, cut into batches for a bank. Those of about the same length go together, padded to a multiple of
 * {@value #STEP} tokens, so that those of many callers can be one batch.
 */
final class PaddedBatches {

    private static final int STEP = 16;
    /** Texts in a pass: more would cost memory, and make others wait. */
    private static final int MOST_TEXTS = 32;
    /** Passes of one caller at a time. */
    private static final int AT_A_TIME = 2;
    /** Texts that one caller has in a bank at a time. */
    static final int MOST_WAITING = AT_A_TIME * MOST_TEXTS;

    /** Indexes of texts of one padded length. */
    private record Batch(List<Integer> texts, int length) {
    }

    private final int count;
    private final List<Batch> batches = new ArrayList<>();

    /**
     * @param lengths of the texts, in tokens
     * @param longest to which they are padded at most
     */
    PaddedBatches(int[] lengths, int longest) {
        count = lengths.length;
        Map<Integer, List<Integer>> byLength = new TreeMap<>();
        for (int i = 0; i < count; i++) {
            int padded = Math.min((lengths[i] + STEP - 1) / STEP * STEP, longest);
            byLength.computeIfAbsent(padded, length -> new ArrayList<>()).add(i);
        }
        byLength.forEach((length, same) -> {
            for (int from = 0; from < same.size(); from += MOST_TEXTS) {
                batches.add(new Batch(same.subList(from, Math.min(from + MOST_TEXTS, same.size())), length));
            }
        });
    }

    /**
     * What a network gives for each text.
     *
     * @param request of the texts of a batch, by index, each padded to a length
     * @param bank    answers requests
     * @return a row for each, in the order of the texts
     */
    CompletableFuture<float[][]> rows(BiFunction<List<Integer>, Integer, BankRequest> request,
                                      Function<BankRequest, CompletableFuture<INDArray[]>> bank) {
        float[][] rows = new float[count][];
        CompletableFuture<float[][]> all = new CompletableFuture<>();
        CompletableFuture<?>[] lanes = IntStream.range(0, Math.min(AT_A_TIME, batches.size()))
                .mapToObj(lane -> from(lane, all, batch -> bank.apply(request.apply(batch.texts, batch.length))
                        .thenAccept(outputs -> {
                            for (int i = 0; i < batch.texts.size(); i++) {
                                rows[batch.texts.get(i)] = outputs[0].getRow(i).toFloatVector();
                            }
                        })).whenComplete((done, failure) -> {
                            if (failure != null) {
                                all.completeExceptionally(failure);
                            }
                        })).toArray(CompletableFuture[]::new);
        CompletableFuture.allOf(lanes).thenRun(() -> all.complete(rows));
        return all;
    }

    /** Every {@value #AT_A_TIME}nd batch from {@code first} on, one after the other, until one fails or nobody waits for them. */
    private CompletableFuture<Void> from(int first, CompletableFuture<?> all, Function<Batch, CompletableFuture<Void>> work) {
        if (first >= batches.size() || all.isDone()) {
            return CompletableFuture.completedFuture(null);
        }
        try {
            return work.apply(batches.get(first)).thenCompose(done -> from(first + AT_A_TIME, all, work));
        } catch (RuntimeException e) {
            return CompletableFuture.failedFuture(e);
        }
    }
}
