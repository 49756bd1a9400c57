package io.github.dl4jlora.bank;

import org.jspecify.annotations.Nullable;

import java.time.Duration;
import java.util.Objects;
import java.util.Optional;

/**
 * Settings of an {@link AdapterBank}: networks, memory, batches, source of adapters. Immutable.
 *
 * <pre>{@code
 * BankConfig config = BankConfig.builder()
 *         .maxNetworks(4)                                      // threads that compute at a time
 *         .source(AdapterSource.folder(Path.of("adapters")))   // read when asked for
 *         .maxBytes(1L << 30)                                  // of adapters in memory
 *         .maxBatch(32).maxDelay(Duration.ofMillis(2))         // of submitted requests
 *         .build();
 * AdapterBank bank = new AdapterBank(base, config);
 * }</pre>
 */
public final class BankConfig {

    private static final long MEBIBYTE = 1L << 20;

    private final int maxNetworks;
    private final @Nullable AdapterSource source;
    private final long maxBytes;
    private final int maxBatch;
    private final Duration maxDelay;
    private final int maxQueued;
    private final @Nullable Duration verifyEvery;
    private final BankMetrics metrics;
    private final boolean pack;

    private BankConfig(Builder builder) {
        this.maxNetworks = builder.maxNetworks;
        this.source = builder.source;
        this.maxBytes = builder.maxBytes;
        this.maxBatch = builder.maxBatch;
        this.maxDelay = builder.maxDelay;
        this.maxQueued = builder.maxQueued;
        this.verifyEvery = builder.verifyEvery;
        this.metrics = builder.metrics;
        this.pack = builder.pack;
    }

    /** {@return a builder with the defaults} */
    public static Builder builder() {
        return new Builder();
    }

    /** {@return how many networks there may be, which is how many callers compute at the same time} */
    public int maxNetworks() {
        return maxNetworks;
    }

    /** {@return where adapters are found that were not added; empty for nowhere} */
    public Optional<AdapterSource> source() {
        return Optional.ofNullable(source);
    }

    /** {@return how many bytes adapters from the source may take} */
    public long maxBytes() {
        return maxBytes;
    }

    /** {@return how many examples of submitted requests one pass may compute} */
    public int maxBatch() {
        return maxBatch;
    }

    /** {@return how long a submitted request may wait for others to be computed with it} */
    public Duration maxDelay() {
        return maxDelay;
    }

    /** {@return how many examples of submitted requests may wait} */
    public int maxQueued() {
        return maxQueued;
    }

    /** {@return how often the base is verified by content; empty for never} */
    public Optional<Duration> verifyEvery() {
        return Optional.ofNullable(verifyEvery);
    }

    /** {@return what counts and times the bank's work} */
    public BankMetrics metrics() {
        return metrics;
    }

    /** {@return whether products use packed copies of the base's matrices} */
    public boolean pack() {
        return pack;
    }

    /** Builds a {@link BankConfig}; every setting has a default. */
    public static final class Builder {

        private int maxNetworks = Runtime.getRuntime().availableProcessors();
        private @Nullable AdapterSource source;
        private long maxBytes = 256 * MEBIBYTE;
        private int maxBatch = 32;
        private Duration maxDelay = Duration.ofMillis(1);
        private int maxQueued = 1024;
        private @Nullable Duration verifyEvery;
        private BankMetrics metrics = BankMetrics.NONE;
        private boolean pack;

        private Builder() {
        }

        /**
         * How many networks there may be, which is how many callers, and batches of submitted requests, compute at the same time.
         *
         * @param maxNetworks at least 1; default: the number of processors
         * @return this
         */
        public Builder maxNetworks(int maxNetworks) {
            this.maxNetworks = maxNetworks;
            return this;
        }

        /**
         * Where adapters are found that were not added.
         *
         * @param source {@link AdapterSource#folder AdapterSource.folder}, for example; default: none
         * @return this
         */
        public Builder source(AdapterSource source) {
            this.source = source;
            return this;
        }

        /**
         * How many bytes adapters from the source may take, not counting those that were added. When there are more, the least
         * recently used make room, and are loaded again when they are asked for. Adapters that requests still compute with stay
         * in memory beyond this limit.
         *
         * @param maxBytes at least 1; default: 256 MiB
         * @return this
         */
        public Builder maxBytes(long maxBytes) {
            this.maxBytes = maxBytes;
            return this;
        }

        /**
         * How many examples of submitted requests one pass may compute. A request with more is computed by itself.
         *
         * @param maxBatch 1: each request is computed by itself; default: 32
         * @return this
         */
        public Builder maxBatch(int maxBatch) {
            this.maxBatch = maxBatch;
            return this;
        }

        /**
         * How long a submitted request waits for others, as long as there are fewer than {@link #maxBatch} examples. Clients that
         * ask again as soon as they are answered come one after the other; without a delay the first would be computed alone.
         *
         * @param maxDelay not negative; default: a millisecond
         * @return this
         */
        public Builder maxDelay(Duration maxDelay) {
            this.maxDelay = maxDelay;
            return this;
        }

        /**
         * How many examples of submitted requests may wait. A request that would make them more is refused, unless none waits.
         *
         * @param maxQueued at least 1; default: 1024
         * @return this
         */
        public Builder maxQueued(int maxQueued) {
            this.maxQueued = maxQueued;
            return this;
        }

        /**
         * Has the base verified by content at intervals, on a thread of its own. Once it has changed, all requests are refused.
         *
         * @param verifyEvery longer than zero; default: only when the bank is made and by {@link AdapterBank#verify}
         * @return this
         */
        public Builder verifyEvery(Duration verifyEvery) {
            this.verifyEvery = verifyEvery;
            return this;
        }

        /**
         * What counts and times the bank's work.
         *
         * @param metrics default: {@link BankMetrics#NONE}
         * @return this
         */
        public Builder metrics(BankMetrics metrics) {
            this.metrics = metrics;
            return this;
        }

        /**
         * Whether products use packed copies of the base's matrices, as
         * {@link io.github.dl4jlora.conf.LoRAConfig.Builder#pack LoRAConfig} describes. A bank needs one copy of each, for the
         * forward pass.
         *
         * @param pack default: false, unless the base is packed already
         * @return this
         */
        public Builder pack(boolean pack) {
            this.pack = pack;
            return this;
        }

        /**
         * Makes the configuration.
         *
         * @return an immutable configuration
         * @throws IllegalArgumentException if a setting is out of its bounds
         */
        public BankConfig build() {
            requireAtLeastOne("maxNetworks", maxNetworks);
            requireAtLeastOne("maxBytes", maxBytes);
            requireAtLeastOne("maxBatch", maxBatch);
            requireAtLeastOne("maxQueued", maxQueued);
            if (maxDelay == null || maxDelay.isNegative()) {
                throw new IllegalArgumentException("maxDelay is " + maxDelay + ", but must not be negative");
            }
            if (verifyEvery != null && (verifyEvery.isNegative() || verifyEvery.isZero())) {
                throw new IllegalArgumentException("verifyEvery is " + verifyEvery + ", but must be longer than zero");
            }
            Objects.requireNonNull(metrics, "metrics is null: BankMetrics.NONE counts nothing");
            return new BankConfig(this);
        }

        private static void requireAtLeastOne(String name, long value) {
            if (value < 1) {
                throw new IllegalArgumentException(name + " is " + value + ", but must be at least 1");
            }
        }
    }
}
