package io.github.dl4jlora.bank;

import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What a request asks an {@link AdapterBank} for: the base alone, an adapter, a weighted adapter, or a sum of several. The
 * network then computes with W + Σ w·ΔW. Names follow {@link AdapterName}, so that a mix is what {@link #parse parse} makes of
 * its {@link #toString}. Immutable.
 *
 * <pre>{@code
 * AdapterMix mix = AdapterMix.of("spam").plus("tone", 0.3);
 * INDArray answer = bank.output(mix, input);
 * AdapterMix same = AdapterMix.parse("spam + tone:0.3");
 * }</pre>
 */
public final class AdapterMix {

    private static final AdapterMix BASE = new AdapterMix(Map.of());
    private static final Pattern WEIGHT = Pattern.compile("[+-]?(?:[0-9]++(?:\\.[0-9]*+)?|\\.[0-9]++)(?:[eE][+-]?[0-9]++)?");
    private static final String EXAMPLES = "Write spam, spam:0.5 or spam:0.7 + tone:0.3";

    private final Map<String, Double> weights;

    private AdapterMix(Map<String, Double> weights) {
        this.weights = Collections.unmodifiableMap(weights);
    }

    /**
     * No adapter.
     *
     * @return the mix of no adapters
     */
    public static AdapterMix base() {
        return BASE;
    }

    /**
     * An adapter as it is.
     *
     * @param name of an adapter, or {@link AdapterBank#BASE}
     * @return the mix
     * @throws IllegalArgumentException if no adapter may be called so: {@link AdapterName}
     */
    public static AdapterMix of(String name) {
        return of(name, 1);
    }

    /**
     * An adapter whose change of the weights is multiplied.
     *
     * @param name   of an adapter, or {@link AdapterBank#BASE}
     * @param weight 1 as it is, 0.5 halfway to the base, 0 the base
     * @return the mix
     * @throws IllegalArgumentException if the weight is not finite, the base is weighted, or no adapter may be called so:
     *                                  {@link AdapterName}
     */
    public static AdapterMix of(String name, double weight) {
        Objects.requireNonNull(name, "The name of the adapter is null");
        if (name.equals(AdapterName.BASE)) {
            if (weight != 1) {
                throw new IllegalArgumentException("The base was given the weight " + weight + ", but a mix always contains W "
                        + "once. Give weights to the adapters only");
            }
            return BASE;
        }
        return BASE.plus(name, weight);
    }

    /**
     * One adapter more.
     *
     * @param name   of an adapter that is not in the mix yet
     * @param weight of its change of the weights; a negative one takes away what it has learned
     * @return another mix
     * @throws IllegalArgumentException if the weight is not finite, the adapter is in the mix already, or is the base, or no
     *                                  adapter may be called so: {@link AdapterName}
     */
    public AdapterMix plus(String name, double weight) {
        Map<String, Double> more = new LinkedHashMap<>(weights);
        add(more, name, weight);
        return new AdapterMix(more);
    }

    private static void add(Map<String, Double> weights, String name, double weight) {
        if (Objects.requireNonNull(name, "The name of the adapter is null").equals(AdapterName.BASE)) {
            throw new IllegalArgumentException("\"" + name + "\" cannot be added to a mix: a mix always contains W once");
        }
        AdapterName.require(name);
        if (!Double.isFinite(weight)) {
            throw new IllegalArgumentException("The weight of adapter \"" + name + "\" is " + weight + ", but must be finite");
        }
        if (weights.put(name, weight) != null) {
            throw new IllegalArgumentException("Adapter \"" + name + "\" is in the mix twice. Add up its weights");
        }
    }

    /**
     * Reads what {@link #toString} writes: {@code spam}, {@code spam:0.5}, {@code spam:0.7 + tone:0.3}, {@code __base__}. What
     * stands after a colon is a weight, a decimal number. {@link AdapterName} has the grammar. Spaces around names and weights
     * are ignored.
     *
     * @param text names with or without weights, with {@code " + "} between them
     * @return the mix
     * @throws IllegalArgumentException if the text is no such mix, a name is given twice, or a weight is beyond the range of
     *                                  double
     */
    public static AdapterMix parse(String text) {
        if (text.strip().equals(AdapterName.BASE)) {
            return BASE;
        }
        Map<String, Double> weights = new LinkedHashMap<>();
        for (String summand : text.split(" \\+ ", -1)) {
            int colon = summand.indexOf(':');
            String name = (colon < 0 ? summand : summand.substring(0, colon)).strip();
            if (name.isEmpty()) {
                throw new IllegalArgumentException("\"" + AdapterName.shown(text) + "\" lacks the name of an adapter. "
                        + EXAMPLES);
            }
            add(weights, name, colon < 0 ? 1 : weight(name, summand.substring(colon + 1).strip()));
        }
        return new AdapterMix(weights);
    }

    /** Has a grammar of its own, since {@link Double#parseDouble} takes {@code NaN}, {@code 1d} and {@code 0x1p3} too. */
    private static double weight(String name, String text) {
        String of = "The weight of adapter \"" + AdapterName.shown(name) + "\" is \"" + AdapterName.shown(text);
        if (!WEIGHT.matcher(text).matches()) {
            throw new IllegalArgumentException(of + "\", which is not a finite decimal number. " + EXAMPLES);
        }
        double weight = Double.parseDouble(text);
        if (Double.isInfinite(weight) || weight == 0 && text.split("[eE]")[0].matches(".*[1-9].*")) {
            throw new IllegalArgumentException(of + "\", which is outside the range of double, " + Double.MIN_VALUE + " to "
                    + Double.MAX_VALUE + (weight == 0 ? ". Write 0" : ". Write a number within it"));
        }
        return weight;
    }

    /**
     * What each adapter's change of the weights is multiplied by.
     *
     * @return weights by name; empty for the base
     */
    public Map<String, Double> weights() {
        return weights;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof AdapterMix mix && weights.equals(mix.weights);
    }

    @Override
    public int hashCode() {
        return weights.hashCode();
    }

    @Override
    public String toString() {
        return weights.isEmpty() ? AdapterName.BASE : weights.entrySet().stream()
                .map(entry -> entry.getValue() == 1 ? entry.getKey() : entry.getKey() + ":" + entry.getValue())
                .collect(Collectors.joining(" + "));
    }
}
