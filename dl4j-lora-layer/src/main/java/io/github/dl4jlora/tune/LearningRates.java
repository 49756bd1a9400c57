package io.github.dl4jlora.tune;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What a {@link LearningRateSweep} found; {@link #toString} is a table for people.
 *
 * <pre>{@code
 * LearningRates rates = LearningRateSweep.of(tuned).from(1e-4).to(1e-1).run(examples);
 * for (LearningRates.Point point : rates.points()) {
 *     System.out.println(point.rate() + " " + point.loss());
 * }
 * tuned.setLearningRate(rates.suggested());
 * }</pre>
 *
 * @param points    the rates tried, ascending, with the loss at each
 * @param untrained the loss of the same batches if nothing is learned
 * @param steps     of each rate
 * @param heldOut   whether losses are means over data that was not trained on; else over the last third of the steps
 */
public record LearningRates(List<Point> points, double untrained, int steps, boolean heldOut) {

    /** The share of the best rate's fall of the loss that the suggested rate reaches. */
    private static final double NEARLY = 0.9;
    private static final int BAR = 40;
    private static final int COLUMN = 15;

    /**
     * A rate that was tried.
     *
     * @param rate above 0
     * @param loss at the end; NaN where training diverged
     */
    public record Point(double rate, double loss) {

        /**
         * An infinite loss becomes NaN.
         *
         * @param rate above 0
         * @param loss at the end; NaN or infinite where training diverged
         */
        public Point {
            loss = Double.isFinite(loss) ? loss : Double.NaN;
        }

        /** {@return whether the loss became NaN or infinite on the way} */
        public boolean diverged() {
            return Double.isNaN(loss);
        }
    }

    /**
     * Copies the list.
     *
     * @param points    the rates tried, ascending, with the loss at each
     * @param untrained the loss of the same batches if nothing is learned
     * @param steps     of each rate
     * @param heldOut   whether losses are means over data that was not trained on
     */
    public LearningRates {
        points = List.copyOf(points);
    }

    /**
     * The rate with the lowest loss after these few steps.
     *
     * @return the rate and its loss; of equal losses, that of the lowest rate
     * @throws IllegalStateException if no rate made the loss smaller than it is without training
     */
    public Point best() {
        return lowest().orElseThrow(() -> new IllegalStateException("No rate from " + figure(points.get(0).rate) + " to "
                + figure(points.get(points.size() - 1).rate) + " made the loss smaller in " + steps + " steps than the "
                + figure(untrained) + " of the untrained network: try other rates with from(...) and to(...), or more "
                + "steps(...), and check that a gradient reaches the trained parameters"));
    }

    /**
     * A rate to train with: the lowest whose loss falls at least nine tenths as far as with the best rate, from the loss
     * without training. It is not the best rate itself, since a rate that does best for a few steps may be too high for a whole
     * training.
     *
     * @return one of the rates tried
     * @throws IllegalStateException as {@link #best}
     */
    public double suggested() {
        double enough = untrained - NEARLY * (untrained - best().loss);
        return points.stream().filter(point -> point.loss <= enough).findFirst().orElseThrow().rate;
    }

    private Optional<Point> lowest() {
        return points.stream().filter(point -> point.loss < untrained).min(Comparator.comparingDouble(Point::loss));
    }

    /**
     * A row for each rate, with a bar for the part of the best rate's fall that it lacks, in characters that every terminal
     * has.
     */
    @Override
    public String toString() {
        Optional<Point> best = lowest();
        StringBuilder table = new StringBuilder(String.format(Locale.ROOT, "%-" + COLUMN + "s%s%n", "learning rate", "loss"));
        for (Point point : points) {
            table.append(String.format(Locale.ROOT, "%-" + COLUMN + "s%-" + COLUMN + "s%s", figure(point.rate),
                    point.diverged() ? "diverged" : figure(point.loss), best.map(of -> bar(point, of)).orElse(""))
                    .stripTrailing());
            if (best.isPresent() && point.rate == suggested()) {
                table.append("  <- suggested");
            }
            table.append(best.filter(point::equals).isPresent() ? "  <- best" : "").append(System.lineSeparator());
        }
        return table.append(notes(best)).toString();
    }

    private String notes(Optional<Point> best) {
        String edge = best.isEmpty() ? "None of these rates made the loss smaller."
                : best.get().equals(points.get(points.size() - 1)) ? "The best is the highest tried: try higher ones, to(...)."
                : best.get().equals(points.get(0)) ? "The best is the lowest tried: try lower ones, from(...)." : "";
        return String.format(Locale.ROOT, "%d steps each, loss %s; %s without training. %s", steps,
                heldOut ? "on data not trained on" : "of the last third", figure(untrained), edge).strip();
    }

    private String bar(Point point, Point best) {
        double left = (point.loss - best.loss) / (untrained - best.loss);
        return point.diverged() ? "" : left > 1 ? "#".repeat(BAR) + ">" : "#".repeat((int) Math.round(BAR * left));
    }

    private static String figure(double value) {
        return String.format(Locale.ROOT, "%.3g", value);
    }
}
