package io.github.dl4jlora.conf;

import org.jspecify.annotations.Nullable;

/**
 * How a start from data uses the data.
 *
 * @param rankBudget the sum of all ranks; null: each as configured
 * @param rho        the largest rank that a matrix may get, as a multiple of its configured rank
 * @param batches    how many batches are used; null: each start's own default
 */
record FromData(@Nullable Integer rankBudget, double rho, @Nullable Integer batches) {

    /** PEFT's default. */
    static final double RHO = 2;

    FromData {
        if (rankBudget != null && rankBudget < 1) {
            throw new IllegalArgumentException("LoRAConfig: rankBudget is " + rankBudget + ", but must be at least 1: it is the "
                    + "sum of the ranks of all adapted matrices. Set it with rankBudget(48), for example");
        }
        if (!(rho >= 1 && Double.isFinite(rho))) {
            throw new IllegalArgumentException("LoRAConfig: rho of rankBudget is " + rho + ", but must be a finite number of at "
                    + "least 1: a matrix may get up to rho times its rank. Leave it out for " + RHO);
        }
        if (batches != null && batches < 1) {
            throw new IllegalArgumentException("LoRAConfig: startBatches is " + batches + ", but must be at least 1. Leave it "
                    + "out for the default of each start");
        }
    }
}
