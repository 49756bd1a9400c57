package io.github.dl4jlora.evidence;

import java.util.Arrays;

/**
 * The result of a training.
 *
 * @param learned of the new task, in the task's unit
 * @param kept    of the base's task, in the same unit
 * @param values  that trained
 * @param losses  by step
 */
public record Trained(double learned, double kept, long values, double[] losses) {

    private static final int LAST = 10;

    /** {@return the mean loss of some steps; infinite where one is NaN or infinite} */
    public double loss(int from, int to) {
        double mean = Arrays.stream(losses, from, Math.min(to, losses.length)).average().orElse(Double.NaN);
        return Double.isFinite(mean) ? mean : Double.POSITIVE_INFINITY;
    }

    /** {@return the mean loss of the last tenth of the steps} */
    public double lastLoss() {
        return loss(losses.length - Math.max(1, losses.length / LAST), losses.length);
    }

    /**
     * {@return the first step after which the mean of the last {@code window} losses is at most {@code loss}; -1 if there is
     * none}
     */
    public int stepsTo(double loss, int window) {
        double sum = 0;
        for (int i = 0; i < losses.length; i++) {
            sum += losses[i] - (i < window ? 0 : losses[i - window]);
            if (i >= window - 1 && sum / window <= loss) {
                return i + 1;
            }
        }
        return -1;
    }
}
