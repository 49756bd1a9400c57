package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.content.AdapterContent;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/** Warns of adapters that change nothing, as before the first step of training. */
final class NothingLearned {

    private static final Logger LOG = LoggerFactory.getLogger(AdapterContent.LOGGER);

    private final AdapterContent adapter;
    private final AtomicBoolean looked = new AtomicBoolean();

    NothingLearned(AdapterContent adapter) {
        this.adapter = adapter;
    }

    /**
     * Warns, once for each adapter, of layers whose ΔW is zero.
     *
     * @param what happened to it, for the message
     */
    void warn(String what) {
        if (looked.getAndSet(true)) {
            return;
        }
        List<String> untrained = adapter.layers().stream().filter(layer -> adapter.delta(layer).changesNothing()).toList();
        if (!untrained.isEmpty()) {
            LOG.warn("An adapter was {}, but its layers {} ({} of {}) change nothing: A·B is zero there, as before training. "
                    + "Train the network first, or leave these layers out with exclude(...)", what, untrained, untrained.size(),
                    adapter.layers().size());
        }
    }
}
