package io.github.dl4jlora.examples;

import java.util.Arrays;
import java.util.Collection;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/**
 * Mean and spread over seeds.
 *
 * @param mean      of the values
 * @param deviation the standard deviation of a sample; 0 of one value
 * @param number    of the values
 */
public record Spread(double mean, double deviation, int number) {

    /** {@return the spread of some values; the mean is not finite if one of them is not} */
    public static Spread of(double... values) {
        double mean = Arrays.stream(values).average().orElse(Double.NaN);
        double squares = Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum();
        return new Spread(mean, values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1)), values.length);
    }

    /** {@return the spread of a figure over several things} */
    public static <X> Spread of(Collection<X> things, ToDoubleFunction<X> figure) {
        return of(things.stream().mapToDouble(figure).toArray());
    }

    /** {@return mean ± deviation, with the given number of decimals} */
    public String toString(int decimals) {
        String format = "%." + decimals + "f";
        return Double.isFinite(mean) ? String.format(Locale.ROOT, format + (number < 2 ? "" : " ± " + format), mean, deviation)
                : "diverged";
    }
}
