package io.github.dl4jlora.conf;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Tells those who come from other libraries that alpha alone is the factor here: a rank of 8 and an alpha of 16 make it 16. */
final class RawAlpha {

    private static final Logger LOG = LoggerFactory.getLogger(LoRASettings.class);
    /** In the other libraries 1 or 2 times the rank are usual, so that an alpha up to here is meant as a factor. */
    private static final double USUAL_FACTOR = 2;
    /** So many pairs are told of, lest a search over random alphas fills the log and the memory. */
    private static final int MOST = 100;
    private static final Set<String> TOLD = ConcurrentHashMap.newKeySet();

    private RawAlpha() {
    }

    /** Warns once in a JVM for each pair; not where the rank divides nothing. */
    static void warn(double alpha, int rank) {
        if (alpha > USUAL_FACTOR && rank > 1 && TOLD.size() < MOST && TOLD.add(alpha + " " + rank)) {
            LOG.warn("rank({}).alpha({}) without scaling makes the factor s of s·A·B {}. PEFT, Keras and torchtune compute "
                            + "alpha / rank, which is {}. Add .scaling(Scaling.ALPHA_OVER_RANK) for that, or "
                            + ".scaling(Scaling.ALPHA) if {} is meant",
                    rank, alpha, Scaling.ALPHA.factor(alpha, rank), Scaling.ALPHA_OVER_RANK.factor(alpha, rank), alpha);
        }
    }
}
