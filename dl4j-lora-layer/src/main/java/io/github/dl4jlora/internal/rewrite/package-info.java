/**
 * Rewrites whole networks.
 */
package io.github.dl4jlora.internal.rewrite;
