package io.github.dl4jlora.tune;

import io.github.dl4jlora.tune.LoRAAdvice.Kind;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.stream.IntStream;

/** What the losses of a training say about its learning rate. */
final class LossCourse {

    /** Fewer steps tell only whether the loss was finite. */
    static final int STEPS = 20;
    /** The number of parts of a training; losses are averaged over each. */
    static final int PARTS = 20;
    /**
     * A loss that is within this share of the loss of chance counts as the loss of chance. Digits at thirty times their rate:
     * 2.304.
     */
    static final double AT_CHANCE = 0.03;
    /**
     * The loss rose enough to be reported if its end is more than this multiple of its lowest part. Digits at ten times their
     * rate: more than 4; at their own rate, and on the board, the end is the lowest part.
     */
    static final double ROSE = 2.5;
    /** Share of the loss of chance, or of the beginning, below which there is little left to learn. */
    static final double LITTLE = 0.1;
    /**
     * The loss is still falling if its last quarter is below this share of the one before. Digits at a tenth of their rate: 0.77,
     * at 1/200: 0.91; at their own rate it falls too, but there is little left.
     */
    static final double FALLING = 0.95;
    /** The loss hardly fell if its end is above this share of its beginning. */
    static final double HARDLY_FELL = 0.9;
    /** ‖ΔW‖ / ‖W‖ above which a network at the loss of chance has gone there, rather than never left it. */
    static final double FAR = 1;

    private final double[] losses;
    private final OptionalDouble chance;
    private final OptionalDouble largestMove;

    /**
     * @param chance      the loss of a network that knows nothing; empty: not known
     * @param largestMove the largest ‖ΔW‖ / ‖W‖; empty: not known
     */
    LossCourse(double[] losses, OptionalDouble chance, OptionalDouble largestMove) {
        this.losses = losses;
        this.chance = chance;
        this.largestMove = largestMove;
    }

    void advise(List<LoRAAdvice> found) {
        OptionalDouble broken = IntStream.range(0, losses.length).filter(i -> !Double.isFinite(losses[i])).asDoubleStream()
                .findFirst();
        Map<String, Double> evidence = new LinkedHashMap<>();
        if (broken.isPresent()) {
            evidence.put("first at step", broken.getAsDouble() + 1);
            evidence.put("of", (double) losses.length);
            found.add(new LoRAAdvice(Kind.RATE_TOO_HIGH, null, "The loss became NaN or infinite", evidence));
            return;
        }
        if (losses.length < STEPS) {
            return;
        }
        double start = part(0);
        double end = part(PARTS - 1);
        double lowest = IntStream.range(0, PARTS).mapToDouble(this::part).min().orElseThrow();
        if (Math.min(start, lowest) <= 0) {
            // All limits are shares of a loss that is at best 0. Losses such as cosine proximity go on below.
            return;
        }
        double left = LITTLE * Math.min(start, chance.orElse(start));
        evidence.put("loss at the end", end);
        if (isAtChance(end) && (!isAtChance(start) || largestMove.orElse(0) > FAR)) {
            evidence.put("of a network that knows nothing", chance.getAsDouble());
            found.add(new LoRAAdvice(Kind.RATE_TOO_HIGH, null, "The loss ended at that of a network that knows nothing",
                    evidence));
        } else if (end > start / HARDLY_FELL || end > left && end > ROSE * lowest) {
            evidence.put("at its lowest", lowest);
            found.add(new LoRAAdvice(Kind.RATE_TOO_HIGH, null, lowest > HARDLY_FELL * start ? "The loss rose"
                    : "The loss fell, then rose", evidence));
        } else if (end > HARDLY_FELL * start) {
            evidence.put("at the beginning", start);
            found.add(new LoRAAdvice(Kind.RATE_TOO_LOW, null, "The loss hardly fell", evidence));
        } else if (end > left && quarter(3) < FALLING * quarter(2)) {
            evidence.put("in the last quarter", quarter(3));
            evidence.put("in the one before", quarter(2));
            found.add(new LoRAAdvice(Kind.RATE_TOO_LOW, null, "The loss was still falling when training ended", evidence));
        }
    }

    private boolean isAtChance(double loss) {
        return chance.isPresent() && Math.abs(loss - chance.getAsDouble()) < AT_CHANCE * chance.getAsDouble();
    }

    private double part(int part) {
        return mean(part, PARTS);
    }

    private double quarter(int quarter) {
        return mean(quarter, 4);
    }

    private double mean(int part, int of) {
        return Arrays.stream(losses, losses.length * part / of, losses.length * (part + 1) / of).average().orElseThrow();
    }
}
