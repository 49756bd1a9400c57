package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.network.Network;

/** Tells the running layers of a new network what only the whole network knows. */
public final class Wiring {

    private Wiring() {
    }

    /** Whose input gradients nobody uses, and whose outputs need not be kept. */
    public static void connect(Network<?> network) {
        InputGradients.leaveOut(network);
        PassingOutputs.assign(network);
    }
}
