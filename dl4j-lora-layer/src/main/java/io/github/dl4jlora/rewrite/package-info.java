/**
 * Rewrites whole networks: a pure {@code Plan} of what becomes of every layer, then its execution, the same for both of
 * DL4J's network types. Used through {@link io.github.dl4jlora.LoRA}; nothing here is public API.
 */
package io.github.dl4jlora.rewrite;
