package io.github.dl4jlora.conf;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Warns users of other libraries that alpha alone is the factor here: with a rank of 8 and an alpha of 16 it is 16. */
final class RawAlpha {

    private static final Logger LOG = LoggerFactory.getLogger(LoRASettings.class);
    /** In the other libraries an alpha of 1 or 2 times the rank is usual, so that an alpha up to this is meant as a factor. */
    private static final double USUAL_FACTOR = 2;
    /**
     * The largest number of pairs that are warned of, so that a search over random alphas does not fill the log and the memory.
     */
    private static final int MOST = 100;
    private static final Set<String> TOLD = ConcurrentHashMap.newKeySet();

    private RawAlpha() {
    }

    /** Warns once in a JVM for each pair; not for rank 1, where dividing changes nothing. */
    static void warn(double alpha, int rank) {
        if (alpha > USUAL_FACTOR && rank > 1 && TOLD.size() < MOST && TOLD.add(alpha + " " + rank)) {
            LOG.warn("rank({}).alpha({}) without scaling makes the factor s of s·A·B {}. PEFT, Keras and torchtune compute "
                            + "alpha / rank, which is {}. Add .scaling(Scaling.ALPHA_OVER_RANK) for that, or "
                            + ".scaling(Scaling.ALPHA) if {} is meant",
                    rank, alpha, Scaling.ALPHA.factor(alpha, rank), Scaling.ALPHA_OVER_RANK.factor(alpha, rank), alpha);
        }
    }
}
