/**
 * The trained layers: configurations that a user declares or the rewriter makes, and, package-private beside them,
 * what runs them. Frozen layers without a low-rank path live in {@code frozen}.
 */
package io.github.dl4jlora.layer;
