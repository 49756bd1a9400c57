package io.github.dl4jlora;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * What a {@link LearningRateSweep} found; {@link #toString} is a table for people.
 *
 * @param points    the rates tried, ascending, with the loss at each
 * @param untrained the loss of the same batches if nothing is learned
 * @param steps     of each rate
 * @param heldOut   whether losses are means over data that was not trained on; else over the last third of the steps
 */
public record LearningRates(List<Point> points, double untrained, int steps, boolean heldOut) {

    private static final double SHARE = 0.9;
    private static final int BAR = 40;

    /**
     * A rate that was tried.
     *
     * @param rate above 0
     * @param loss at the end; NaN where training diverged
     */
    public record Point(double rate, double loss) {

        /** An infinite loss becomes NaN. */
        public Point {
            loss = Double.isFinite(loss) ? loss : Double.NaN;
        }

        /** {@return whether the loss became NaN or infinite on the way} */
        public boolean diverged() {
            return Double.isNaN(loss);
        }
    }

    /** A copy of the list. */
    public LearningRates {
        points = List.copyOf(points);
    }

    /**
     * The rate with the lowest loss after these few steps.
     *
     * @return of equal ones, the lowest rate
     * @throws IllegalStateException if no rate made the loss smaller than it is without training
     */
    public Point best() {
        return points.stream().filter(point -> point.loss < untrained).min(Comparator.comparingDouble(Point::loss))
                .orElseThrow(() -> new IllegalStateException("No rate from " + points.get(0).rate + " to "
                        + points.get(points.size() - 1).rate + " made the loss smaller in " + steps + " steps than the "
                        + shown(untrained) + " that it is without training: try other rates with from(...) and to(...), more "
                        + "steps(...), and look whether a gradient reaches what trains"));
    }

    /**
     * A rate to train with.
     *
     * @return one of the rates tried
     * @throws IllegalStateException as {@link #best}
     */
    public double suggested() {
        double enough = untrained - SHARE * (untrained - best().loss);
        return points.stream().filter(point -> point.loss <= enough).findFirst().orElseThrow().rate;
    }

    static String shown(double value) {
        return String.format(Locale.ROOT, "%.4g", value);
    }
}
