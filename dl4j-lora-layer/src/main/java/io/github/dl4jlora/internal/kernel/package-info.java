/**
 * Products and windows that layers of ours are computed with.
 */
package io.github.dl4jlora.internal.kernel;
