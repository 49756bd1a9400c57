package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.BankRequest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** When the batches of a request are asked for, and what becomes of the others when one is refused. */
@Tag("serve")
class PaddedBatchesTest {

    /** Of one text each, since no two have about the same length. */
    private static final int[] LENGTHS = {16, 32, 48, 64};

    private final List<CompletableFuture<INDArray[]>> asked = new ArrayList<>();

    private static CompletableFuture<float[][]> rows(Function<BankRequest, CompletableFuture<INDArray[]>> bank) {
        return new PaddedBatches(LENGTHS, 64).rows((texts, length) ->
                BankRequest.of(AdapterBank.BASE, Nd4j.zeros(texts.size(), length)), bank);
    }

    private CompletableFuture<INDArray[]> submit(BankRequest request) {
        CompletableFuture<INDArray[]> answer = new CompletableFuture<>();
        asked.add(answer);
        return answer;
    }

    private void answer(int which) {
        asked.get(which).complete(new INDArray[] {Nd4j.scalar((float) which).reshape(1, 1)});
    }

    @Test
    void twoAreComputedAtATimeUntilAllAre() {
        CompletableFuture<float[][]> rows = rows(this::submit);

        assertThat(asked).hasSize(2);
        answer(1);
        assertThat(asked).as("the second, and then the fourth").hasSize(3);
        answer(0);
        answer(2);
        assertThat(rows).isNotDone();
        answer(3);
        assertThat(rows.join()).isEqualTo(new float[][] {{0}, {1}, {3}, {2}});
    }

    /** The other half went on to the end, although nobody would get its rows, and only then was the client told. */
    @Test
    void whenOneFailsThisIsToldAtOnceAndNoFurtherOneIsAskedFor() {
        CompletableFuture<float[][]> rows = rows(this::submit);

        asked.get(0).completeExceptionally(Problem.badRequest("too many"));

        assertThat(rows).isCompletedExceptionally();
        answer(1);
        assertThat(asked).hasSize(2);
        assertThatThrownBy(rows::join).hasRootCauseInstanceOf(Problem.class).hasRootCauseMessage("too many");
    }

    /** As a bank does whose queue is full. */
    @Test
    void oneThatIsRefusedAtOnceEndsTheOthersToo() {
        CompletableFuture<float[][]> rows = rows(request -> {
            if (asked.size() == 1) {
                throw Problem.badRequest("too many");
            }
            return submit(request);
        });

        assertThat(rows).isCompletedExceptionally();
        answer(0);
        assertThat(asked).hasSize(1);
        assertThatThrownBy(rows::join).hasRootCauseInstanceOf(Problem.class).hasRootCauseMessage("too many");
    }
}
