package io.github.dl4jlora.tune;

import io.github.dl4jlora.adapter.LoRAAdapter;
import org.jspecify.annotations.Nullable;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * Something that a finished training tells about its settings: what was found, the figures behind it, and what to do. See
 * {@link #about about}; its losses come from DL4J's CollectScoresIterationListener, as {@link Advisor#losses} shows.
 *
 * <pre>{@code
 * for (LoRAAdvice advice : LoRAAdvice.about(LoRAAdapter.of(tuned)).base(base).list()) {
 *     System.out.println(advice.layer().orElse("all") + ": " + advice.finding() + ". " + advice.remedy());
 * }
 * }</pre>
 *
 * @param kind     of finding
 * @param layer    as in {@link LoRAAdapter#layers()}; empty for the training as a whole
 * @param finding  a sentence
 * @param evidence figures by name, in the order in which to read them
 * @param remedy   a sentence
 */
public record LoRAAdvice(Kind kind, Optional<String> layer, String finding, Map<String, Double> evidence, String remedy) {

    /** What can be found, most urgent first. */
    public enum Kind {

        /** The loss was NaN, rose, or ended at that of a network that knows nothing. */
        RATE_TOO_HIGH("Train again with a lower learning rate; LearningRateSweep finds one."),
        /** The loss hardly fell, or was still falling. */
        RATE_TOO_LOW("Train for longer; or with a higher learning rate, if LearningRateSweep suggests one."),
        /** ΔW is zero. */
        UNTRAINED("Look for what keeps the gradient away: a layer above that is frozen or dead, a mask, a learning rate of 0. Or "
                + "leave the layer out with exclude(...)."),
        /** B learned, A did not. */
        A_UNMOVED("Lower loraPlusRatio, or raise the learning rate. If A is meant to stay as it is, use FrozenALoRA, which saves "
                + "its gradient."),
        /** ΔW is far smaller, relative to W, than in the other layers. */
        HARDLY_MOVED("Leave the layer out with exclude(...), or raise its alpha with override(...), and see whether that "
                + "matters."),
        /** ΔW is far larger than W. */
        LARGE_CHANGE("If the network should still do what the base could, lower the learning rate or alpha."),
        /** A smaller rank holds nearly all of ΔW. */
        RANK_WASTED("compressToEnergy(0.99) makes this adapter smaller without training it again; next time a smaller rank "
                + "may do."),
        /** ΔW needs all directions that its rank allows. */
        RANK_CUT_OFF("A larger rank may learn more: try twice the rank.");

        private final String remedy;

        Kind(String remedy) {
            this.remedy = remedy;
        }
    }

    /**
     * Copies the map.
     *
     * @param kind     of finding
     * @param layer    empty for the training as a whole
     * @param finding  a sentence
     * @param evidence figures by name
     * @param remedy   a sentence
     */
    public LoRAAdvice {
        evidence = Collections.unmodifiableMap(new LinkedHashMap<>(evidence));
    }

    /** @param layer null for the training as a whole */
    LoRAAdvice(Kind kind, @Nullable String layer, String finding, Map<String, Double> evidence) {
        this(kind, Optional.ofNullable(layer), finding, evidence, kind.remedy);
    }

    /**
     * Begins to look at a trained adapter.
     *
     * @param adapter after its training
     * @return a builder, which takes what is known about the training
     */
    public static Advisor about(LoRAAdapter adapter) {
        return new Advisor(adapter);
    }

    /**
     * Groups advice that is the same for several layers.
     *
     * @param advice as {@link Advisor#list} gives it
     * @return lists of one kind, finding and remedy each, in the order of the advice; none is empty
     */
    public static List<List<LoRAAdvice>> alike(List<LoRAAdvice> advice) {
        return List.copyOf(advice.stream().collect(Collectors.groupingBy(of -> List.of(of.kind, of.finding, of.remedy),
                LinkedHashMap::new, Collectors.toUnmodifiableList())).values());
    }

    /** {@return the figures as text, such as {@code loss at the end 2.3, of chance 2.3}; empty if there are none} */
    public String figures() {
        return evidence.entrySet().stream().map(figure -> figure.getKey() + " " + shown(figure.getValue()))
                .collect(Collectors.joining(", "));
    }

    private static String shown(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e9 ? String.valueOf((long) value)
                : String.format(Locale.ROOT, "%.3g", value);
    }

    /** The layer, the kind, what was found, the figures, and what to do: two sentences. */
    @Override
    public String toString() {
        return layer.map(name -> name + ": ").orElse("") + kind + ": " + finding
                + (evidence.isEmpty() ? "" : " (" + figures() + ")") + ". " + remedy;
    }
}
