package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.internal.common.Named;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;

import java.util.Set;

/**
 * Refuses a vector for a whole network that is too long or too short. DL4J's networks copy a vector of the right length by
 * themselves. Any other they hand out to their layers piece by piece, unchecked: the pieces have the right lengths until the
 * vector ends, and what is left over is dropped. So a layer can tell by the mere fact that its {@code setParams} is called by
 * its network's own.
 */
public final class WholeVector {

    /** Frames between this class and the network: a layer's own and its wrappers'. */
    private static final int MOST_FRAMES = 12;
    private static final StackWalker STACK = StackWalker.getInstance();
    private static final Set<String> NETWORKS = Set.of(ComputationGraph.class.getName(), MultiLayerNetwork.class.getName());

    private WholeVector() {
    }

    /**
     * To be called where a layer overwrites its parameters, before it does.
     *
     * @param layer name for the message
     * @throws IllegalArgumentException if a network hands out a vector of another length than its own
     */
    public static void refuseOtherLength(@Nullable String layer) {
        boolean handedOut = STACK.walk(frames -> frames.limit(MOST_FRAMES)
                .dropWhile(frame -> !frame.getMethodName().equals("setParams") || !NETWORKS.contains(frame.getClassName()))
                .skip(1).findFirst()
                // Transfer learning fills parts of networks in passing, and corrects them afterwards.
                .map(frame -> !frame.getClassName().startsWith("org.deeplearning4j.nn.transferlearning."))
                .orElse(false));
        if (handedOut) {
            throw new IllegalArgumentException("setParams was given a vector whose length is not the network's number of "
                    + "parameters (layer " + Named.quoted(layer) + "). Give it network.params().length() values. Frozen values "
                    + "that are shared with the base are not part of them");
        }
    }
}
