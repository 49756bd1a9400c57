package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.graph.ComputationGraph;

import java.io.IOException;
import java.nio.file.Path;

/** An adapter in a folder that the user names. */
public final class KeptAdapter {

    private KeptAdapter() {
    }

    /** @throws IOException if the folder has no adapter, or one for another network: the user can name another */
    public static ComputationGraph on(ComputationGraph network, Path folder) throws IOException {
        LoRAAdapter adapter = LoRAAdapter.load(folder);
        try {
            return LoRA.apply(network, adapter);
        } catch (IllegalArgumentException e) {
            throw new IOException(folder + ": " + e.getMessage(), e);
        }
    }
}
