package io.github.dl4jlora.evidence.task;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A network that recognises upright clothes learns to do so when they are turned by 90 degrees: 10,000 pictures for training,
 * 2,000 for testing.
 */
public final class TurnedFashion extends Pictures {

    private static final int TRAIN = 10_000;
    private static final int TEST = 2_000;
    private static final int BATCH = 64;
    private static final int BASE_EPOCHS = 6;
    private static final int EPOCHS = 3;

    private final FashionFiles train;
    private final FashionFiles test;

    /**
     * @param folder with Fashion-MNIST's files, as they are published
     * @throws IOException if one is missing or damaged
     */
    public TurnedFashion(Path folder) throws IOException {
        super(FashionFiles.SIDE * FashionFiles.SIDE, FashionFiles.CLASSES, BASE_EPOCHS);
        train = FashionFiles.read(folder, "train", TRAIN);
        test = FashionFiles.read(folder, "t10k", TEST);
    }

    @Override
    public String name() {
        return "fashion";
    }

    @Override
    public String measure() {
        return "turned clothes told right, %";
    }

    @Override
    public int epochs() {
        return EPOCHS;
    }

    @Override
    Lesson before(long seed) {
        return new Lesson(train.batches(BATCH, false), test.batches(BATCH, false));
    }

    @Override
    Lesson then(long seed) {
        return new Lesson(train.batches(BATCH, true), test.batches(BATCH, true));
    }
}
