package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.network.LayerNames;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Switches;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** Factors by which the low-rank paths of a network are multiplied at run time, on top of their own. */
public final class Scales {

    private Scales() {
    }

    /**
     * Scales what patterns name.
     *
     * @throws IllegalArgumentException if a factor is not finite, a pattern matches nothing that is adapted, or two of them
     *                                  give one parameter different factors; nothing is scaled then
     */
    public static void set(Model model, Map<Pattern, Double> factors) {
        factors.forEach((pattern, factor) -> requireFinite(factor, "setScale(\"" + pattern + "\", …)"));
        Map<MatrixName, Switches> adapted = adapted(model);
        Map<MatrixName, Map.Entry<Pattern, Double>> named = new LinkedHashMap<>();
        factors.forEach((pattern, factor) -> {
            List<MatrixName> matched = adapted.keySet().stream().filter(name -> name.isMatchedBy(pattern)).toList();
            if (matched.isEmpty()) {
                throw new IllegalArgumentException("setScale(\"" + pattern + "\", …) matches none of the adapted layers, which "
                        + "are " + adapted.keySet().stream().map(MatrixName::module).toList()
                        + ": patterns must match a whole name, or name/parameter"
                        + LayerNames.literally(pattern, adapted.keySet().stream().map(MatrixName::layer).toList()));
            }
            for (MatrixName name : matched) {
                Map.Entry<Pattern, Double> other = named.put(name, Map.entry(pattern, factor));
                if (other != null && !other.getValue().equals(factor)) {
                    throw new IllegalArgumentException("setScale: \"" + other.getKey() + "\" and \"" + pattern + "\" both match "
                            + name.module() + ", which cannot be scaled by both " + other.getValue() + " and " + factor
                            + ". Narrow one of the patterns");
                }
            }
        });
        named.forEach((name, scaled) -> Objects.requireNonNull(adapted.get(name)).setScale(name.key(), scaled.getValue()));
    }

    /**
     * Scales all low-rank paths.
     *
     * @return what ends it, once
     * @throws IllegalArgumentException if the factor is not finite, or the network has no adapted layer
     */
    public static Runnable open(Model model, double factor) {
        requireFinite(factor, "LoRA.rescaled");
        List<Runnable> open = new ArrayList<>();
        adapted(model).values().stream().distinct().forEach(switches -> open.add(switches.openScale(factor)));
        return DisabledScopes.once(() -> open.forEach(Runnable::run));
    }

    /**
     * @param what is being done, for the message
     * @throws IllegalStateException if something is scaled: neither files nor copies have a place for it
     */
    public static void requireNone(Model model, String what) {
        List<String> scaled = scaled(Networks.of(model), node -> true);
        if (!scaled.isEmpty()) {
            throw new IllegalStateException(what + " was called while LoRA.setScale or LoRA.rescaled scales " + scaled
                    + ", and a file cannot hold these factors. Close the scope, or call setScale(…, 1), first; LoRA.merge takes "
                    + "the factors into account");
        }
    }

    /** What of these nodes is scaled, with the factors: {@code fc1 (0.5)}. */
    public static List<String> scaled(Network<?> network, Predicate<Node> nodes) {
        List<String> scaled = new ArrayList<>();
        switches(network, nodes).forEach((name, switches) -> {
            if (switches.scale(name.key()) != 1) {
                scaled.add(name.module() + " (" + switches.scale(name.key()) + ")");
            }
        });
        return scaled;
    }

    private static void requireFinite(@Nullable Double factor, String what) {
        if (factor == null || !Double.isFinite(factor)) {
            throw new IllegalArgumentException(what + " was given the factor " + factor
                    + ", but it must be a finite number; 1 leaves the adapter as it is, 0 switches it off");
        }
    }

    private static Map<MatrixName, Switches> adapted(Model model) {
        Network<?> network = Networks.of(model);
        for (Node node : network.nodes()) {
            if (node.adapted() != null && network.adaptedRuntime(node) == null) {
                throw new IllegalStateException("Vertex \"" + node.name() + "\" cannot be scaled: it was frozen after it was "
                        + "adapted, and DL4J's FrozenVertex hides it. Apply the adapter to the base again with LoRA.apply");
            }
        }
        Map<MatrixName, Switches> adapted = switches(network, node -> true);
        if (adapted.isEmpty()) {
            throw new IllegalArgumentException("The network has no adapted layer, so there is nothing to scale: make one with "
                    + "LoRA.apply");
        }
        return adapted;
    }

    /** Of every adapted parameter. */
    private static Map<MatrixName, Switches> switches(Network<?> network, Predicate<Node> nodes) {
        Map<MatrixName, Switches> switches = new LinkedHashMap<>();
        for (Node node : network.nodes()) {
            AdaptedRuntime running = network.adaptedRuntime(node);
            if (running != null && nodes.test(node)) {
                for (AdaptedParameter parameter : Objects.requireNonNull(node.adapted()).adapted()) {
                    switches.put(MatrixName.of(node, parameter.key()), running.adapter().switches());
                }
            }
        }
        return switches;
    }
}
