package io.github.dl4jlora.serve.trial;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

/** Which versions an answer may be of. */
@Tag("serve")
class SlotTest {

    private final Slot slot = new Slot("spam");
    private final long start = System.nanoTime();

    @Test
    void whileItIsReplacedBothAreValidAndAfterwardsTheNewOne() {
        slot.settle(1);
        slot.begin(2);
        assertThat(slot.possibleNow()).containsExactly(1, 2);

        slot.succeeded();
        assertThat(slot.possibleNow()).containsExactly(2);
        assertThat(slot.possible(start, System.nanoTime())).contains(1, 2);
    }

    @Test
    void whatWasRefusedIsNeverValid() {
        slot.settle(1);
        slot.begin(2);
        slot.failed();

        assertThat(slot.possible(start, System.nanoTime())).doesNotContain(2);
        assertThat(slot.possibleNow()).containsExactly(1);
    }

    @Test
    void whatWasCutOffMayBeEitherUntilItIsLookedAt() {
        slot.settle(1);
        slot.begin(Slot.ABSENT);
        assertThat(slot.possibleNow()).containsExactly(Slot.ABSENT, 1);

        slot.settle(1);
        assertThat(slot.possibleNow()).containsExactly(1);
    }
}
