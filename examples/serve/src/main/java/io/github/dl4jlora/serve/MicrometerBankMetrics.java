package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.AdapterBank;
import io.github.dl4jlora.bank.AdapterMix;
import io.github.dl4jlora.bank.BankMetrics;
import io.github.dl4jlora.bank.BankStatus;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;

import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/**
 * A bank's work as meters of Micrometer, all of which begin with {@code dl4jlora.}. Requests are timed by adapter for the first
 * hundred that were answered, and together for the others, since clients may make up any number of names, and of mixes.
 */
public final class MicrometerBankMetrics implements BankMetrics {

    /** The timer of requests, by {@link #ADAPTER} and outcome. */
    static final String REQUESTS = "dl4jlora.requests";
    static final String EXAMPLES = "dl4jlora.batch.examples";
    static final String MIXES = "dl4jlora.batch.mixes";
    static final String REFUSED = "dl4jlora.refused";
    static final String ADAPTER = "adapter";
    static final String OUTCOME = "outcome";
    /** The tag of requests that are timed together. */
    static final String OTHERS = "(others)";
    /** The tag of requests for weighted adapters, or for several. */
    static final String MIXED = "(mixes)";

    private static final int MOST_ADAPTERS = 100;

    private final MeterRegistry registry;
    private final Set<String> tags = ConcurrentHashMap.newKeySet();
    private final Timer passes;
    private final DistributionSummary examples;
    private final DistributionSummary mixes;
    private final Timer loads;
    private final Counter failedLoads;
    private final Counter evictions;
    private final Counter refused;

    /** @param registry that takes the meters */
    public MicrometerBankMetrics(MeterRegistry registry) {
        this.registry = registry;
        passes = Timer.builder("dl4jlora.passes").description("Passes through the network").publishPercentiles(0.5, 0.95)
                .register(registry);
        examples = DistributionSummary.builder(EXAMPLES).description("Examples in a pass").register(registry);
        mixes = DistributionSummary.builder(MIXES).description("Different mixes of adapters in a pass")
                .register(registry);
        loads = Timer.builder("dl4jlora.loads").description("Adapters that came from disk").register(registry);
        failedLoads = Counter.builder("dl4jlora.loads.failed").description("Adapters that could not be read").register(registry);
        evictions = Counter.builder("dl4jlora.evictions").description("Adapters that made room for others").register(registry);
        refused = Counter.builder(REFUSED).description("Requests that were refused since too many were "
                + "waiting").register(registry);
    }

    /**
     * Registers gauges of a bank's state.
     *
     * @param bank that this counts for
     */
    public void watch(AdapterBank bank) {
        gauge("dl4jlora.networks", "Copies of the network", bank, BankStatus::networks);
        gauge("dl4jlora.waiting", "Batches that wait for a network", bank, BankStatus::waiting);
        gauge("dl4jlora.queued", "Examples that wait", bank, BankStatus::queued);
        gauge("dl4jlora.adapters", "Adapters in memory", bank, BankStatus::adapters);
        gauge("dl4jlora.adapter.bytes", "Bytes of the adapters in memory", bank, BankStatus::adapterBytes);
    }

    private void gauge(String name, String description, AdapterBank bank, ToDoubleFunction<BankStatus> value) {
        Gauge.builder(name, bank, of -> value.applyAsDouble(of.status())).description(description).register(registry);
    }

    @Override
    public void computed(long examples, int mixes, long nanos) {
        passes.record(nanos, TimeUnit.NANOSECONDS);
        this.examples.record(examples);
        this.mixes.record(mixes);
    }

    @Override
    public void ended(AdapterMix mix, Outcome outcome, long nanos) {
        Timer.builder(REQUESTS).description("Requests from when they are read to their answers").publishPercentiles(0.5, 0.95)
                .tag(ADAPTER, tag(mix, outcome)).tag(OUTCOME, outcome.name().toLowerCase(Locale.ROOT))
                .register(registry).record(nanos, TimeUnit.NANOSECONDS);
    }

    /** A name that led to no answer may be anything, and gets no tag. */
    private String tag(AdapterMix mix, Outcome outcome) {
        Map<String, Double> weights = mix.weights();
        if (weights.size() > 1 || weights.values().stream().anyMatch(weight -> weight != 1)) {
            return MIXED;
        }
        String name = mix.toString();
        if (!tags.contains(name) && (outcome != Outcome.ANSWERED || tags.size() >= MOST_ADAPTERS)) {
            return OTHERS;
        }
        tags.add(name);
        return name;
    }

    /** Makes room for another adapter's tag. */
    void forget(String adapter) {
        if (tags.remove(adapter)) {
            registry.find(REQUESTS).tag(ADAPTER, adapter).meters().forEach(registry::remove);
        }
    }

    @Override
    public void refused(AdapterMix mix) {
        refused.increment();
    }

    @Override
    public void loaded(String name, long bytes, long nanos) {
        loads.record(nanos, TimeUnit.NANOSECONDS);
    }

    @Override
    public void notLoaded(String name, Exception cause) {
        failedLoads.increment();
    }

    @Override
    public void evicted(String name, long bytes) {
        evictions.increment();
    }
}
