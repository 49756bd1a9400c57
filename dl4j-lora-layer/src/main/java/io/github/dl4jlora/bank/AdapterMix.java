package io.github.dl4jlora.bank;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * What a request asks an {@link AdapterBank} for: the base alone, an adapter, one turned down, or a sum of several. The network
 * then computes with W + Σ w·ΔW. Immutable.
 */
public final class AdapterMix {

    private static final AdapterMix BASE = new AdapterMix(Map.of());

    private final Map<String, Double> weights;

    private AdapterMix(Map<String, Double> weights) {
        this.weights = Collections.unmodifiableMap(weights);
    }

    /**
     * No adapter.
     *
     * @return what asks for the base
     */
    public static AdapterMix base() {
        return BASE;
    }

    /**
     * An adapter as it is.
     *
     * @param name of an adapter, or {@link AdapterBank#BASE}
     * @return what asks for it
     */
    public static AdapterMix of(String name) {
        return of(name, 1);
    }

    /**
     * An adapter whose change of the weights is multiplied.
     *
     * @param name   of an adapter, or {@link AdapterBank#BASE}
     * @param weight 1 as it is, 0.5 halfway to the base, 0 the base
     * @return what asks for it
     * @throws IllegalArgumentException if the weight is not finite, or the base is weighted
     */
    public static AdapterMix of(String name, double weight) {
        Objects.requireNonNull(name, "The name of the adapter is null");
        if (name.equals(AdapterBank.BASE)) {
            if (weight != 1) {
                throw new IllegalArgumentException("The base was given the weight " + weight + ", but W counts once whatever is "
                        + "added to it. Give the adapters weights");
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
     * @throws IllegalArgumentException if the weight is not finite, or the adapter is in the mix already, or is the base
     */
    public AdapterMix plus(String name, double weight) {
        Objects.requireNonNull(name, "The name of the adapter is null");
        if (!Double.isFinite(weight)) {
            throw new IllegalArgumentException("The weight of adapter \"" + name + "\" is " + weight + ", but must be finite");
        }
        if (name.equals(AdapterBank.BASE)) {
            throw new IllegalArgumentException("\"" + name + "\" is no summand: W counts once whatever is added to it");
        }
        Map<String, Double> more = new LinkedHashMap<>(weights);
        if (more.put(name, weight) != null) {
            throw new IllegalArgumentException("Adapter \"" + name + "\" is in the mix twice. Add its weights up");
        }
        return new AdapterMix(more);
    }

    /**
     * Reads what {@link #toString} writes: {@code spam}, {@code spam:0.5}, {@code spam:0.7 + tone:0.3}, {@code __base__}. What
     * stands behind a name's last colon is its weight if it is a number, and part of the name if not.
     *
     * @param text names with or without weights, with {@code " + "} between them
     * @return the mix
     * @throws IllegalArgumentException if a name is empty, given twice, or its weight is not finite
     */
    public static AdapterMix parse(String text) {
        if (text.strip().equals(AdapterBank.BASE)) {
            return BASE;
        }
        AdapterMix mix = BASE;
        for (String summand : text.split(" \\+ ", -1)) {
            String part = summand.strip();
            int colon = part.lastIndexOf(':');
            Double weight = colon < 0 ? null : number(part.substring(colon + 1));
            String name = weight == null ? part : part.substring(0, colon);
            if (name.isEmpty()) {
                throw new IllegalArgumentException("\"" + text + "\" lacks the name of an adapter. Write spam, spam:0.5 or "
                        + "spam:0.7 + tone:0.3");
            }
            mix = mix.plus(name, weight == null ? 1 : weight);
        }
        return mix;
    }

    private static Double number(String text) {
        try {
            return Double.valueOf(text.strip());
        } catch (NumberFormatException e) {
            return null;
        }
    }

    /**
     * By what each adapter's change of the weights is multiplied.
     *
     * @return weights by name; empty for the base
     */
    public Map<String, Double> weights() {
        return weights;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof AdapterMix mix && weights.equals(mix.weights);
    }

    @Override
    public int hashCode() {
        return weights.hashCode();
    }

    @Override
    public String toString() {
        return weights.isEmpty() ? AdapterBank.BASE : weights.entrySet().stream()
                .map(entry -> entry.getValue() == 1 ? entry.getKey()
                        : entry.getKey() + ":" + String.format(Locale.ROOT, "%s", entry.getValue()))
                .collect(Collectors.joining(" + "));
    }
}
