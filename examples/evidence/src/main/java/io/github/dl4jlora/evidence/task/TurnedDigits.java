package io.github.dl4jlora.evidence.task;

import io.github.dl4jlora.examples.Digits;

/** The main example's task: a network that reads upright digits learns to read them turned by 90 degrees. */
public final class TurnedDigits extends Pictures {

    private static final int EPOCHS = 20;
    private static final int BATCH = 32;
    static final double TEST_SHARE = 0.25;

    public TurnedDigits() {
        super(Digits.PIXELS, Digits.CLASSES, EPOCHS);
    }

    @Override
    public String name() {
        return "digits";
    }

    @Override
    public String measure() {
        return "turned digits read right, %";
    }

    @Override
    public int epochs() {
        return EPOCHS;
    }

    @Override
    Lesson before(long seed) {
        Digits.Split upright = Digits.load().split(TEST_SHARE, seed);
        return lesson(upright.train(), upright.test());
    }

    @Override
    Lesson then(long seed) {
        Digits.Split upright = Digits.load().split(TEST_SHARE, seed);
        return lesson(upright.train().turned(), upright.test().turned());
    }

    static Lesson lesson(Digits train, Digits test) {
        return new Lesson(train.list(BATCH), test.list(BATCH));
    }
}
