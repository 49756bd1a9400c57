package io.github.dl4jlora.examples.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.adapter.LoRAAdapter.ApplyOption;
import io.github.dl4jlora.examples.AnyNetwork;
import org.deeplearning4j.nn.api.Model;

import java.io.IOException;
import java.nio.file.Path;

/** Brings networks and adapters together. */
final class Adapting {

    private Adapting() {
    }

    /**
     * The network with the adapter: a stock one is adapted, an adapted one gets the adapter in place of what it has.
     *
     * @param anyBase whether the adapter may come from a network with other weights
     * @throws IOException if the two do not fit; the message names both
     */
    static SavedNetwork put(SavedNetwork network, LoRAAdapter adapter, Path folder, boolean anyBase) throws IOException {
        try {
            Model model = network.isStock() ? AnyNetwork.apply(network.model(), adapter.config()) : network.model();
            adapter.applyTo(model, anyBase ? new ApplyOption[] {ApplyOption.FORCE} : new ApplyOption[0]);
            return network.with(model);
        } catch (IllegalArgumentException e) {
            throw new IOException(folder + " does not fit " + network.file() + ": " + e.getMessage()
                    + ". In these commands: import takes --any-base and --rename", e);
        }
    }
}
