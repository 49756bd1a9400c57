package io.github.dl4jlora;

import io.github.dl4jlora.frozen.BaseOpener;
import io.github.dl4jlora.internal.base.UriSecrets;

import java.net.URI;
import java.util.Objects;

/** What an adapted network stands on: where the frozen values of its base are, and in what form. */
record Standing(FrozenStorage storage, boolean copy, URI location, Quantization quantization) {

    Standing {
        if (quantization != null && storage == FrozenStorage.EMBEDDED) {
            throw new IllegalArgumentException("LoRAConfig: quantize(" + quantization + ") keeps the base outside the network's "
                    + "vector, but the storage is EMBEDDED. Leave storage at SHARED, or quantize out");
        }
    }

    /**
     * The part of a configuration's builder that says what on.
     *
     * @param <B> the builder itself
     */
    abstract static class Builder<B extends Builder<B>> extends Training.Builder<B> {

        private FrozenStorage storage = FrozenStorage.SHARED;
        private boolean copyBase;
        private URI baseLocation;
        private Quantization quantization;

        void standOn(Standing standing) {
            storage = standing.storage;
            copyBase = standing.copy;
            baseLocation = standing.location;
            quantization = standing.quantization;
        }

        Standing standing() {
            return new Standing(storage, copyBase, baseLocation, quantization);
        }

        /**
         * Where frozen values live; default {@link FrozenStorage#SHARED}.
         *
         * @param storage not null
         * @return this
         */
        public B storage(FrozenStorage storage) {
            this.storage = Objects.requireNonNull(storage, "storage");
            return self();
        }

        /**
         * Whether the adapted network gets a copy of the frozen values instead of views of the base's own; then the
         * base may be trained or closed afterwards. Default false. Without meaning for {@link FrozenStorage#EMBEDDED},
         * which always copies.
         *
         * @param copy true: a copy
         * @return this
         */
        public B copyBase(boolean copy) {
            this.copyBase = copy;
            return self();
        }

        /**
         * Where a JVM that has not got the base network can load it from (a file that DL4J's ModelSerializer wrote),
         * such as the executors of a cluster. What is found there must have the recorded content ids. Schemes that the
         * JDK cannot open need a {@link BaseOpener}, and so do servers that ask for credentials: the
         * location stands in the network's JSON and in every checkpoint.
         *
         * @param location absolute, without user info and query; null: none
         * @return this
         * @throws IllegalArgumentException if the location has no scheme: it would mean another place on every machine; or if
         *                                  it has user info or a query, which may be secrets
         */
        public B baseLocation(URI location) {
            if (location != null && !location.isAbsolute()) {
                throw new IllegalArgumentException("The base location \"" + UriSecrets.shown(location) + "\" has no scheme; use "
                        + "Path.toUri() for a file, or a URI such as hdfs://host/path");
            }
            if (location != null && UriSecrets.mayBeIn(location)) {
                throw new IllegalArgumentException("The base location \"" + UriSecrets.shown(location) + "\" has user info or a "
                        + "query, which would stand in every checkpoint for all to read; leave them out, and have a "
                        + BaseOpener.class.getName() + " add them when the base is read");
            }
            this.baseLocation = location;
            return self();
        }

        /**
         * Keeps the frozen matrices of the base in fewer bits: a copy, so that the base network need not stay in memory. Default:
         * none. Dense and output layers, convolutions and embeddings are quantised; layers that train, those that run on
         * W + s·A·B, and whatever is no matrix stay as they are ({@link LoRA#summary} tells). Adapters, gradients and updater
         * state keep the network's type. A base that is quantised already must be so in this way.
         *
         * @param scheme null: none
         * @return this
         */
        public B quantize(Quantization scheme) {
            quantization = scheme;
            return self();
        }
    }
}
