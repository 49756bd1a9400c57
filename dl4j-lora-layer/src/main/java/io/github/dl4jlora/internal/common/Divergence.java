package io.github.dl4jlora.internal.common;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.AdaDelta;
import org.nd4j.linalg.learning.config.AdaGrad;
import org.nd4j.linalg.learning.config.AdaMax;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nadam;
import org.nd4j.linalg.learning.config.RmsProp;

/**
 * Why training ends in NaN, and what to do. Most updaters divide by a mean of past gradients, and add an epsilon so that it is
 * not 0. In a data type in which the epsilon itself is 0, a gradient of 0 becomes 0 / 0. A's gradient is 0 in the first step,
 * since B is 0.
 */
public final class Divergence {

    /** HALF has no number between 0 and 6e-8. This epsilon trained well with all updaters that use theirs. */
    private static final String SETTING = "updater(Adam.builder().learningRate(1e-3).epsilon(1e-4).build())";
    /** What ND4J's AdaMax adds in place of its epsilon. */
    private static final double OF_ADA_MAX = 1e-32;

    private Divergence() {
    }

    /**
     * What to do about values that became NaN or infinite.
     *
     * @param type in which they were trained
     * @return a sentence without its full stop
     */
    public static String remedy(DataType type) {
        return type != DataType.HALF ? "Lower the learning rate or alpha, or go back to an earlier checkpoint"
                : "In HALF the default epsilon of Adam and its relatives, 1e-8, is rounded to 0, so a gradient of 0 becomes NaN: "
                + "set a larger epsilon, for example with " + SETTING + ". If it is already larger, "
                + "lower the learning rate or alpha, or go back to an earlier checkpoint";
    }

    /**
     * Why an updater makes NaN of a gradient of 0.
     *
     * @param updater null if there is none
     * @param type    in which it computes
     * @return a sentence with its remedy, without its full stop; null if the updater makes no NaN of it
     */
    public static @Nullable String ofZeros(@Nullable IUpdater updater, DataType type) {
        Double epsilon = epsilon(updater);
        if (updater == null || epsilon == null || !isZero(epsilon, type)) {
            return null;
        }
        String name = updater.getClass().getSimpleName();
        return (updater instanceof AdaMax ? name + " adds 1e-32 to its divisor, whatever its epsilon is. That is 0 in "
                + type : name + "'s epsilon " + epsilon + " is 0 in " + type) + ", so a gradient of 0 becomes NaN. Set an "
                + "updater with a larger epsilon, for example " + SETTING;
    }

    private static @Nullable Double epsilon(@Nullable IUpdater updater) {
        return updater instanceof Adam adam ? adam.getEpsilon()
                : updater instanceof AMSGrad grad ? grad.getEpsilon()
                : updater instanceof Nadam nadam ? nadam.getEpsilon()
                : updater instanceof AdaGrad grad ? grad.getEpsilon()
                : updater instanceof AdaDelta delta ? delta.getEpsilon()
                : updater instanceof RmsProp prop ? prop.getEpsilon()
                : updater instanceof AdaMax ? (Double) OF_ADA_MAX : null;
    }

    private static boolean isZero(double value, DataType type) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            return Nd4j.scalar(type, value).getDouble(0) == 0;
        }
    }
}
