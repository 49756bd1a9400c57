package io.github.dl4jlora.internal.plan;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.api.Model;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Whether a configuration for training an adapter further contradicts the adapter in what is settled already: which layers are
 * adapted, and with which rank, factor, variant and start. A setting at its default contradicts nothing.
 */
public final class Agreement {

    private static final LoRASettings DEFAULTS = LoRASettings.DEFAULTS;
    private static final String CURE = "An adapter keeps the settings that it was made with: leave this one out of the "
            + "configuration, or start the configuration from adapter.config().toBuilder()";

    private final LoRAConfig adapter;
    private final LoRAConfig config;

    private Agreement(LoRAConfig adapter, LoRAConfig config) {
        this.adapter = adapter;
        this.config = config;
    }

    /**
     * @param base    a stock network
     * @param adapter the adapter's own configuration
     * @param config  what is asked for
     * @throws IllegalArgumentException if they differ, or if one of them cannot be met by the network
     */
    public static void require(Model base, LoRAConfig adapter, LoRAConfig config) {
        List<Node> nodes = Networks.toAdapt(base, config).nodes();
        new Agreement(adapter, config).require(nodes);
    }

    private void require(List<Node> nodes) {
        if (config.rankBudget() != null) {
            throw new IllegalArgumentException("The configuration's rankBudget is " + config.rankBudget() + ", but the adapter "
                    + "already has its ranks. " + CURE);
        }
        if (config.bias() == BiasTraining.LORA_ONLY && adapter.bias() == BiasTraining.ALL) {
            same("bias", config.bias(), BiasTraining.NONE, adapter.bias());
        }
        Map<String, LoRASettings> expected = adapted(nodes.stream().map(Node::byUniqueName).toList(), adapter);
        Map<String, LoRASettings> asked = choosesLayers() ? chosen(nodes, expected.keySet()) : Map.of();
        expected.forEach((layer, settings) -> {
            LoRASettings own = asked.getOrDefault(layer, config.settings());
            same("variant of layer \"" + layer + "\"", own.variant(), DEFAULTS.variant(), settings.variant());
            sameStart(layer, own, Kind.of(settings));
            same("rank of layer \"" + layer + "\"", own.rank(), DEFAULTS.rank(), settings.rank());
            same("alpha of layer \"" + layer + "\"", own.alpha(), DEFAULTS.alpha(), settings.alpha());
            same("scaling of layer \"" + layer + "\"", own.scaling(), DEFAULTS.scaling(), settings.scaling());
        });
    }

    /** A start from data, or from what a base has lost, is in A and B by now: the adapter does not say what it was. */
    private static void sameStart(String layer, LoRASettings own, Kind adapters) {
        Kind asked = Kind.of(own);
        if (own.loraInit() != DEFAULTS.loraInit() && !own.loraInit().needsData() && asked.init() != adapters.init()) {
            throw differ("loraInit of layer \"" + layer + "\"", own.loraInit(), adapters.init());
        }
        same("pissaIterations of layer \"" + layer + "\"", asked.pissaIterations(), DEFAULTS.pissaIterations(),
                adapters.pissaIterations());
    }

    private boolean choosesLayers() {
        return config.targetsAll() || !config.targets().isEmpty() || !config.targetTypes().isEmpty()
                || !config.exclude().isEmpty() || !config.trainable().isEmpty() || !config.overrides().isEmpty();
    }

    /** What the configuration chooses, which must be what the adapter has. */
    private Map<String, LoRASettings> chosen(List<Node> nodes, Set<String> layers) {
        Map<String, LoRASettings> chosen = adapted(nodes, config);
        sameNames("adapts", chosen.keySet(), layers);
        sameNames("trains in full", Plan.trained(nodes, config), Plan.trained(nodes.stream().map(Node::byUniqueName).toList(),
                adapter));
        return chosen;
    }

    /** The settings of every adapted parameter, by its name in adapter files. */
    private static Map<String, LoRASettings> adapted(List<Node> nodes, LoRAConfig config) {
        Map<String, Set<String>> targets = Targets.of(nodes, config, Plan.trained(nodes, config));
        Map<String, LoRASettings> adapted = new LinkedHashMap<>();
        for (Node node : nodes) {
            node.matrices().forms().keySet().stream().filter(targets.getOrDefault(node.name(), Set.of())::contains)
                    .map(key -> MatrixName.of(node, key)).forEach(name -> adapted.put(name.module(), name.settings(config)));
        }
        return adapted;
    }

    private static void sameNames(String what, Set<String> asked, Set<String> adapters) {
        if (!asked.equals(adapters)) {
            throw new IllegalArgumentException("The configuration " + what + " " + new TreeSet<>(asked)
                    + ", but the adapter is for " + new TreeSet<>(adapters) + ". " + CURE);
        }
    }

    private static void same(String what, Object asked, Object unsaid, Object adapters) {
        if (!asked.equals(unsaid) && !asked.equals(adapters)) {
            throw differ(what, asked, adapters);
        }
    }

    private static IllegalArgumentException differ(String what, Object asked, Object adapters) {
        return new IllegalArgumentException("The configuration's " + what + " is " + asked + ", but the adapter's is " + adapters
                + ". " + CURE);
    }
}
