package io.github.dl4jlora.transformers.contrastive;

import org.nd4j.linalg.api.rng.Random;
import org.nd4j.linalg.factory.Nd4j;

import java.util.ArrayList;
import java.util.List;

/** States of ND4J's generator, which belongs to the thread, before each part: both passes of a part draw the same dropout. */
final class RandomStates {

    private record State(long root, long node) {
    }

    private final Random random = Nd4j.getRandom();
    private final List<State> beforeParts = new ArrayList<>();

    void keep() {
        beforeParts.add(now());
    }

    private State now() {
        return new State(random.rootState(), random.nodeState());
    }

    /** Does something in the state that was kept before a part. Draws go on from where they were afterwards. */
    void again(int part, Runnable pass) {
        State after = now();
        State before = beforeParts.get(part);
        random.setStates(before.root, before.node);
        try {
            pass.run();
        } finally {
            random.setStates(after.root, after.node);
        }
    }
}
