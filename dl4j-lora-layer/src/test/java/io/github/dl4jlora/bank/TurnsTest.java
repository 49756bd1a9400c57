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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Who is next among requests that wait. */
class TurnsTest {

    private static final long NO_DELAY = 0;
    private static final long HOUR = 3_600_000_000_000L;

    private static Pending pending(String name, int examples, int width, boolean combines) {
        return new Pending(BankRequest.of(name, Networks.random(DataType.FLOAT, 1, examples, width)), combines);
    }

    private static Pending pending(String name) {
        return pending(name, 1, 2, true);
    }

    private static List<String> names(List<Pending> batch) {
        return batch.stream().map(pending -> pending.request().mixes().get(0).toString()).toList();
    }

    private static List<Pending> take(Turns turns) {
        return turns.take(System.nanoTime(), false);
    }

    @Test
    void aBatchHasOneOfEachAdapterAgainAndAgain() {
        Turns turns = new Turns(4, NO_DELAY);
        for (String name : "a a a a a a b c c".split(" ")) {
            turns.add(pending(name));
        }

        assertThat(names(take(turns))).containsExactly("a", "b", "c", "a");
        assertThat(names(take(turns))).containsExactly("c", "a", "a", "a");
        assertThat(names(take(turns))).containsExactly("a");
        assertThat(turns.isEmpty()).isTrue();
        assertThat(take(turns)).isEmpty();
        assertThat(turns.untilReady(0)).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void requestsThatAreComputedByThemselvesTakeTurnsToo() {
        Turns turns = new Turns(1, HOUR);
        for (String name : "a a a b b c".split(" ")) {
            turns.add(pending(name, 1, 2, false));
        }

        List<String> order = new ArrayList<>();
        for (List<Pending> batch = take(turns); !batch.isEmpty(); batch = take(turns)) {
            assertThat(batch).hasSize(1);
            order.addAll(names(batch));
        }
        assertThat(order).containsExactly("a", "b", "c", "a", "b", "a");
    }

    @Test
    void otherFormsAreOtherBatchesInTurn() {
        Turns turns = new Turns(2, NO_DELAY);
        for (int i = 0; i < 4; i++) {
            turns.add(pending("a", 1, 2, true));
        }
        turns.add(pending("b", 1, 3, true));
        turns.add(pending("c", 5, 2, false));

        assertThat(names(take(turns))).containsExactly("a", "a");
        assertThat(names(take(turns))).containsExactly("b");
        assertThat(names(take(turns))).containsExactly("c");
        assertThat(names(take(turns))).containsExactly("a", "a");
    }

    @Test
    void fewWaitForOthersUntilTheirTimeHasCome() {
        Turns turns = new Turns(3, HOUR);
        Pending first = pending("a");
        turns.add(first);
        turns.add(pending("b"));
        long now = first.since() + HOUR - 7;

        assertThat(turns.take(now, false)).isEmpty();
        assertThat(turns.untilReady(now)).isEqualTo(7);
        assertThat(turns.take(now + 7, false)).hasSize(2);
        IntStream.range(0, 2).forEach(i -> turns.add(pending("a")));
        assertThat(turns.take(now, true)).as("all").hasSize(2);
        IntStream.range(0, 3).forEach(i -> turns.add(pending("a")));
        assertThat(take(turns)).as("enough").hasSize(3);
    }

    @Test
    void theLongestDelayIsLong() {
        Turns turns = new Turns(3, Long.MAX_VALUE);
        turns.add(pending("a"));

        assertThat(take(turns)).isEmpty();
        assertThat(turns.untilReady(System.nanoTime())).isGreaterThan(HOUR);
    }

    @Test
    void whoGoesIsForgotten() {
        Turns turns = new Turns(8, NO_DELAY);
        Pending gone = pending("a");
        Pending stays = pending("a");
        turns.add(gone);
        turns.add(stays);

        assertThat(turns.remove(gone)).isTrue();
        assertThat(turns.remove(gone)).isFalse();
        assertThat(take(turns)).containsExactly(stays);
        assertThat(turns.remove(stays)).isFalse();
        assertThat(turns.isEmpty()).isTrue();
    }

    /** Whatever comes and goes: each is taken once, no batch is too large, and nobody is passed by more than once a batch. */
    @Property(tries = 500, seed = "13254351929264")
    void randomArrivals(@ForAll long seed, @ForAll @IntRange(min = 1, max = 9) int most) {
        Random random = new Random(seed);
        Turns turns = new Turns(most, NO_DELAY);
        Set<Pending> waiting = new HashSet<>();
        Map<String, Integer> passedBy = new HashMap<>();
        for (int step = 0; step < 300; step++) {
            int what = random.nextInt(4);
            if (what < 2) {
                int examples = 1 + random.nextInt(most + 2);
                Pending pending = pending("" + (char) ('a' + Math.min(random.nextInt(5), random.nextInt(5))), examples,
                        2 + random.nextInt(2), examples < most);
                turns.add(pending);
                waiting.add(pending);
            } else if (what == 2 && !waiting.isEmpty()) {
                Pending gone = waiting.iterator().next();
                assertThat(turns.remove(gone)).isTrue();
                waiting.remove(gone);
                // Who leaves altogether and comes back stands at the end.
                passedBy.keySet().retainAll(names(waiting));
            } else {
                List<Pending> batch = turns.take(System.nanoTime(), true);
                assertThat(batch.isEmpty()).isEqualTo(waiting.isEmpty());
                assertThat(batch.stream().map(Pending::form).distinct().count()).isLessThan(2);
                assertThat(batch.size() < 2 || batch.stream().mapToLong(Pending::examples).sum() <= most).isTrue();
                assertThat(waiting).containsAll(batch);
                batch.forEach(waiting::remove);
                requireFair(batch, waiting, passedBy);
            }
            assertThat(turns.isEmpty()).isEqualTo(waiting.isEmpty());
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
