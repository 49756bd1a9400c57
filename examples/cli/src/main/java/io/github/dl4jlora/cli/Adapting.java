package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter.ApplyOption;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.report.LoRASummary;

import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Brings networks and adapters together. */
final class Adapting {

    private Adapting() {
    }

    /**
     * The network with the adapter: a stock network is adapted; in an adapted one, the adapter replaces the network's own.
     *
     * @param anyBase whether the adapter may come from a network with other weights
     * @throws IOException if the two do not fit; the message names both
     */
    static SavedNetwork put(SavedNetwork network, LoRAAdapter adapter, Path folder, boolean anyBase) throws IOException {
        return put(network, adapter, folder, anyBase, Map.of());
    }

    /**
     * As {@link #put(SavedNetwork, LoRAAdapter, Path, boolean)}.
     *
     * @param renamed names of layers in the adapter's folder, by their names in the adapter, where the two differ
     */
    static SavedNetwork put(SavedNetwork network, LoRAAdapter adapter, Path folder, boolean anyBase, Map<String, String> renamed)
            throws IOException {
        requireLayers(network, adapter, folder, renamed);
        try {
            // Momentum and counts in the network's file belong to the adapter that is replaced.
            Set<ApplyOption> options = EnumSet.of(ApplyOption.RESET_UPDATER);
            if (anyBase) {
                options.add(ApplyOption.FORCE);
            }
            ApplyOption[] all = options.toArray(ApplyOption[]::new);
            if (network.isStock()) {
                return network.with(AnyNetwork.apply(network.model(), adapter, all));
            }
            adapter.applyTo(network.model(), all);
            return network;
        } catch (IllegalArgumentException e) {
            throw new IOException(folder + " does not fit " + network.file() + ": " + e.getMessage(), e);
        }
    }

    private static void requireLayers(SavedNetwork network, LoRAAdapter adapter, Path folder, Map<String, String> renamed)
            throws IOException {
        List<String> names = network.summary().rows().stream().map(LoRASummary.Row::name).toList();
        // Layers trained in full may have the names of PyTorch modules, which the network knows.
        List<String> strangers = adapter.layers().stream()
                .filter(layer -> names.stream().noneMatch(name -> layer.equals(name) || layer.startsWith(name + ".")))
                .map(layer -> "\"" + layer + "\"" + (renamed.containsKey(layer)
                        ? " (renamed from \"" + renamed.get(layer) + "\")" : ""))
                .toList();
        if (!strangers.isEmpty()) {
            throw new IOException(folder + " does not fit " + network.file() + ": the adapter has layer "
                    + String.join(", ", strangers)
                    + ", the network has " + names + ". Match the names with dl4j-lora import and --rename");
        }
    }
}
