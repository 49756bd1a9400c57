package io.github.dl4jlora.internal.run;

import io.github.dl4jlora.LoRAInit;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.IUpdater;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Random;

/**
 * Checks and messages that every low-rank layer shares.
 */
public final class LoRAParams {

    /** A handful serves; a file that asks for millions wants to keep the machine busy. */
    public static final int MOST_PISSA_ITERATIONS = 1000;

    private static final Logger LOG = LoggerFactory.getLogger(LoRAParams.class);

    private LoRAParams() {
    }

    /**
     * @param layer what to call the layer in a message
     * @throws IllegalArgumentException for a rank below 1 or an alpha that is not finite
     */
    public static void check(String layer, int rank, double alpha) {
        if (rank < 1) {
            throw new IllegalArgumentException("Layer " + quoted(layer) + ": rank is " + rank
                    + ", but must be at least 1. Set it with rank(8), for example.");
        }
        if (!Double.isFinite(alpha)) {
            throw new IllegalArgumentException("Layer " + quoted(layer) + ": alpha is " + alpha
                    + ", but must be a finite number. Set it with alpha(16), for example.");
        }
    }

    /**
     * @param disabled how many scopes that disable the layer's adapter are open
     * @throws IllegalStateException if any is
     */
    static void requireEnabled(String layer, int disabled) {
        if (disabled > 0) {
            throw new IllegalStateException("Layer " + quoted(layer) + ": its adapter is disabled, so there is nothing to train. "
                    + "Close the scope that LoRA.disabled opened first");
        }
    }

    /**
     * @throws IllegalArgumentException for a probability outside [0, 1)
     */
    public static void checkDropout(String layer, double probability) {
        if (!(probability >= 0 && probability < 1)) {
            throw new IllegalArgumentException("Layer " + quoted(layer) + ": loraDropout is " + probability
                    + ", but is the probability of dropping an input and must be at least 0 and below 1.");
        }
    }

    /**
     * @param nIn 0 where it is still to be inferred, as {@code nOut}
     * @throws IllegalArgumentException for a start that this rank or factor does not allow
     */
    public static void checkStart(String layer, LoRAInit init, int rank, long nIn, long nOut, double factor, int pissaIterations) {
        String of = "Layer " + quoted(layer) + ": LoRAInit." + init;
        if (init == LoRAInit.ORTHOGONAL && rank % 2 != 0) {
            throw new IllegalArgumentException(of + " halves the rank, which is " + rank + ". Choose an even one.");
        }
        if (init.isTakenFromW() && nIn > 0 && nOut > 0 && rank > Math.min(nIn, nOut)) {
            throw new IllegalArgumentException(of + " takes A and B from W [" + nIn + ", " + nOut + "], whose rank is at most "
                    + Math.min(nIn, nOut) + ", but the adapter's is " + rank + ". Choose a smaller one.");
        }
        if (init == LoRAInit.PISSA && !(factor > 0)) {
            throw new IllegalArgumentException(of + " divides by the factor of ΔW and takes the root, but the factor is " + factor
                    + ". Choose an alpha above 0.");
        }
        if (pissaIterations < 0 || pissaIterations > MOST_PISSA_ITERATIONS) {
            throw new IllegalArgumentException("Layer " + quoted(layer) + ": pissaIterations is " + pissaIterations
                    + ", but must be 0 (an exact decomposition) to " + MOST_PISSA_ITERATIONS + ".");
        }
    }

    /**
     * @param updater null where it is still to come from the network's configuration
     * @throws IllegalArgumentException for a ratio that is not a finite number above 0, or an updater without learning rate
     */
    public static void checkRatio(String layer, double ratio, IUpdater updater) {
        if (!(ratio > 0 && Double.isFinite(ratio))) {
            throw new IllegalArgumentException("Layer " + quoted(layer) + ": loraPlusRatio is " + ratio
                    + ", but must be a finite number above 0. Leave it at 1 for one learning rate.");
        }
        if (ratio != 1 && updater != null && !updater.hasLearningRate()) {
            throw new IllegalArgumentException("Layer " + quoted(layer) + ": loraPlusRatio is " + ratio + ", but "
                    + updater.getClass().getSimpleName() + " has no learning rate to multiply. Use another updater or leave "
                    + "the ratio at 1.");
        }
    }

    public static void warnOfExcessRank(String layer, int rank, long nIn, long nOut) {
        if (rank > Math.min(nIn, nOut)) {
            LOG.warn("Layer {}: rank {} is above min(nIn, nOut) = {}, so the adapter is larger than the weights it adapts; "
                    + "give this layer a smaller one with LoRAConfig's override({}, o -> o.rank({}))", quoted(layer), rank,
                    Math.min(nIn, nOut), quoted(layer), Math.min(nIn, nOut));
        }
    }

    /**
     * @throws IllegalStateException for another size than the layer has already
     */
    public static void refuseResize(String layer, String what, long from, long to) {
        if (from > 0 && from != to) {
            throw new IllegalStateException("Layer " + quoted(layer) + ": " + what + " cannot be changed from "
                    + from + " to " + to + ", because its frozen weights would have to be replaced by random ones. "
                    + "Call LoRA.merge or LoRA.unload first, resize the stock network, then adapt it again.");
        }
    }

    /** A and B from their distribution, drawn after ND4J's generator that {@code init()} has seeded. */
    public static void initialize(INDArray a, INDArray b, LoRAInit init) {
        init.fill(a, b, new Random(Nd4j.getRandom().nextLong()));
    }

    public static String quoted(String layer) {
        return "\"" + (layer == null ? "(unnamed)" : layer) + "\"";
    }
}
