package io.github.dl4jlora.transformers.checkpoint;

import org.nd4j.linalg.api.rng.Random;
import org.nd4j.linalg.factory.Nd4j;

/** Restores ND4J's random generator when it is closed, as if nothing had been drawn or seeded in between. */
public final class KeptRandom implements AutoCloseable {

    private final Random random = Nd4j.getRandom();
    private final long root = random.rootState();
    private final long node = random.nodeState();

    @Override
    public void close() {
        random.setStates(root, node);
    }
}
