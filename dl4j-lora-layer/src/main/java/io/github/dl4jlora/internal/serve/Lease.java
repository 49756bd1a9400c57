package io.github.dl4jlora.internal.serve;

import java.util.List;

/**
 * Mixes whose adapters were looked up, and are held until it is closed.
 *
 * @param mixes one for all examples, or one for each
 * @param held  their adapters, each as often as it is held
 */
public record Lease(List<ServedMix> mixes, List<ServedAdapter> held) implements AutoCloseable {

    @Override
    public void close() {
        held.forEach(ServedAdapter::release);
    }
}
