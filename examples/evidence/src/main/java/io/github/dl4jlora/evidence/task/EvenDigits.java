package io.github.dl4jlora.evidence.task;

import io.github.dl4jlora.examples.Digits;

import java.util.List;

/** A network that reads 1, 3, 5, 7 and 9 learns 0, 2, 4, 6 and 8, as in figure 2 of the paper on PiSSA. */
public final class EvenDigits extends Pictures {

    private static final int BASE_EPOCHS = 20;
    private static final int EPOCHS = 10;
    private static final double TEST_SHARE = 0.25;

    public EvenDigits() {
        super(Digits.PIXELS, Digits.CLASSES, BASE_EPOCHS);
    }

    @Override
    public String name() {
        return "odd to even digits";
    }

    @Override
    public String measure() {
        return "even digits read right, %";
    }

    @Override
    public List<String> targets() {
        return List.of("fc\\d", "out");
    }

    @Override
    public int epochs() {
        return EPOCHS;
    }

    @Override
    Lesson before(long seed) {
        return ofParity(1, seed);
    }

    @Override
    Lesson then(long seed) {
        return ofParity(0, seed);
    }

    private static Lesson ofParity(int parity, long seed) {
        Digits.Split split = Digits.load().split(TEST_SHARE, seed);
        return TurnedDigits.lesson(split.train().ofParity(parity), split.test().ofParity(parity));
    }
}
