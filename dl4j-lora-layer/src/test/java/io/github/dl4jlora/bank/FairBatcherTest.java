package io.github.dl4jlora.bank;

import io.github.dl4jlora.Networks;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Who is next among requests that wait. */
class FairBatcherTest {

    private static final long NO_DELAY = 0;
    private static final long HOUR = 3_600_000_000_000L;

    /** By examples and width. */
    private static final Map<List<Integer>, INDArray> INPUTS = new HashMap<>();

    private static Pending pending(String name, int examples, int width, boolean combines) {
        INDArray input = INPUTS.computeIfAbsent(List.of(examples, width), shape ->
                Networks.random(DataType.FLOAT, 1, shape.get(0), shape.get(1)));
        return new Pending(BankRequest.of(name, input), combines, pending -> { });
    }

    private static Pending pending(String name) {
        return pending(name, 1, 2, true);
    }

    private static List<String> names(List<Pending> batch) {
        return batch.stream().map(pending -> pending.request().mixes().get(0).toString()).toList();
    }

    private static List<Pending> take(FairBatcher batcher) {
        return batcher.take(System.nanoTime(), false);
    }

    @Test
    void aBatchHasOneOfEachAdapterAgainAndAgain() {
        FairBatcher batcher = new FairBatcher(4, NO_DELAY);
        for (String name : "a a a a a a b c c".split(" ")) {
            batcher.add(pending(name));
        }

        assertThat(names(take(batcher))).containsExactly("a", "b", "c", "a");
        assertThat(names(take(batcher))).containsExactly("c", "a", "a", "a");
        assertThat(names(take(batcher))).containsExactly("a");
        assertThat(batcher.isEmpty()).isTrue();
        assertThat(take(batcher)).isEmpty();
        assertThat(batcher.untilReady(0)).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void requestsThatAreComputedByThemselvesTakeTurnsToo() {
        FairBatcher batcher = new FairBatcher(1, HOUR);
        for (String name : "a a a b b c".split(" ")) {
            batcher.add(pending(name, 1, 2, false));
        }

        List<String> order = new ArrayList<>();
        for (List<Pending> batch = take(batcher); !batch.isEmpty(); batch = take(batcher)) {
            assertThat(batch).hasSize(1);
            order.addAll(names(batch));
        }
        assertThat(order).containsExactly("a", "b", "c", "a", "b", "a");
    }

    @Test
    void otherFormsAreOtherBatchesInTurn() {
        FairBatcher batcher = new FairBatcher(2, NO_DELAY);
        for (int i = 0; i < 4; i++) {
            batcher.add(pending("a", 1, 2, true));
        }
        batcher.add(pending("b", 1, 3, true));
        batcher.add(pending("c", 5, 2, false));

        assertThat(names(take(batcher))).containsExactly("a", "a");
        assertThat(names(take(batcher))).containsExactly("b");
        assertThat(names(take(batcher))).containsExactly("c");
        assertThat(names(take(batcher))).containsExactly("a", "a");
    }

    @Test
    void fewWaitForOthersUntilTheirTimeHasCome() {
        FairBatcher batcher = new FairBatcher(3, HOUR);
        Pending first = pending("a");
        batcher.add(first);
        batcher.add(pending("b"));
        long now = first.since() + HOUR - 7;

        assertThat(batcher.take(now, false)).isEmpty();
        assertThat(batcher.untilReady(now)).isEqualTo(7);
        assertThat(batcher.take(now + 7, false)).hasSize(2);
        IntStream.range(0, 2).forEach(i -> batcher.add(pending("a")));
        assertThat(batcher.take(now, true)).as("all").hasSize(2);
        IntStream.range(0, 3).forEach(i -> batcher.add(pending("a")));
        assertThat(take(batcher)).as("enough").hasSize(3);
    }

    @Test
    void theLongestDelayIsLong() {
        FairBatcher batcher = new FairBatcher(3, Long.MAX_VALUE);
        batcher.add(pending("a"));

        assertThat(take(batcher)).isEmpty();
        assertThat(batcher.untilReady(System.nanoTime())).isGreaterThan(HOUR);
    }

    @Test
    void whoGoesIsForgotten() {
        FairBatcher batcher = new FairBatcher(8, NO_DELAY);
        Pending gone = pending("a");
        Pending stays = pending("a");
        batcher.add(gone);
        batcher.add(stays);

        assertThat(batcher.remove(gone)).isTrue();
        assertThat(batcher.remove(gone)).isFalse();
        assertThat(take(batcher)).containsExactly(stays);
        assertThat(batcher.remove(stays)).isFalse();
        assertThat(batcher.isEmpty()).isTrue();
    }

    /** Whatever comes and goes: each is taken once, no batch is too large, and nobody is passed by more than once a batch. */
    @Property(tries = 500, seed = "13254351929264")
    void randomArrivals(@ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int most) {
        Random random = new Random(seed);
        FairBatcher batcher = new FairBatcher(most, NO_DELAY);
        Set<Pending> waiting = new LinkedHashSet<>();
        Map<String, Integer> passedBy = new HashMap<>();
        for (int step = 0; step < 300; step++) {
            int what = random.nextInt(4);
            if (what < 2) {
                int examples = 1 + random.nextInt(most + 2);
                Pending pending = pending("" + (char) ('a' + Math.min(random.nextInt(5), random.nextInt(5))), examples,
                        2 + random.nextInt(2), examples < most);
                batcher.add(pending);
                waiting.add(pending);
            } else if (what == 2 && !waiting.isEmpty()) {
                Pending gone = waiting.iterator().next();
                assertThat(batcher.remove(gone)).isTrue();
                waiting.remove(gone);
                // Who leaves altogether and comes back stands at the end.
                passedBy.keySet().retainAll(names(waiting));
            } else {
                List<Pending> batch = batcher.take(System.nanoTime(), true);
                assertThat(batch.isEmpty()).isEqualTo(waiting.isEmpty());
                assertThat(batch.stream().map(Pending::form).distinct().count()).isLessThan(2);
                assertThat(batch.size() < 2 || batch.stream().mapToLong(Pending::examples).sum() <= most).isTrue();
                assertThat(waiting).containsAll(batch);
                batch.forEach(waiting::remove);
                requireFair(batch, waiting, passedBy);
            }
            assertThat(batcher.isEmpty()).isEqualTo(waiting.isEmpty());
        }
    }

    /** There are three forms and five adapters: within fifteen batches each has its turn, whatever comes meanwhile. */
    private static void requireFair(List<Pending> batch, Set<Pending> waiting, Map<String, Integer> passedBy) {
        Set<String> wait = names(waiting);
        passedBy.keySet().retainAll(wait);
        batch.forEach(pending -> passedBy.remove(pending.owner() + " " + width(pending)));
        wait.forEach(who -> passedBy.merge(who, 1, Integer::sum));
        assertThat(passedBy.values()).allSatisfy(times -> assertThat(times).isLessThanOrEqualTo(15));
    }

    private static Set<String> names(Set<Pending> waiting) {
        return waiting.stream().map(pending -> pending.owner() + " " + width(pending)).collect(Collectors.toSet());
    }

    private static String width(Pending pending) {
        INDArray input = pending.request().features().inputs()[0];
        return pending.combines() ? "" + input.size(1) : "alone";
    }
}
