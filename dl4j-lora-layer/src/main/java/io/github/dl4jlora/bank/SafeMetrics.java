package io.github.dl4jlora.bank;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.function.Consumer;

/** Calls a user's metrics and logs what they throw, so that they fail no request. */
record SafeMetrics(BankMetrics metrics) implements BankMetrics {

    private static final Logger LOG = LoggerFactory.getLogger(SafeMetrics.class);

    private void tell(Consumer<BankMetrics> what) {
        try {
            what.accept(metrics);
        } catch (RuntimeException | Error e) {
            LOG.warn("The metrics of a bank threw: {}", e.toString(), e);
        }
    }

    @Override
    public void computed(long examples, int mixes, long nanos) {
        tell(user -> user.computed(examples, mixes, nanos));
    }

    @Override
    public void ended(AdapterMix mix, Outcome outcome, long nanos) {
        tell(user -> user.ended(mix, outcome, nanos));
    }

    @Override
    public void refused(AdapterMix mix) {
        tell(user -> user.refused(mix));
    }

    @Override
    public void loaded(String name, long bytes, long nanos) {
        tell(user -> user.loaded(name, bytes, nanos));
    }

    @Override
    public void notLoaded(String name, Exception cause) {
        tell(user -> user.notLoaded(name, cause));
    }

    @Override
    public void evicted(String name, long bytes) {
        tell(user -> user.evicted(name, bytes));
    }
}
