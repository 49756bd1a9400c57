/**
 * Frozen weights by content.
 */
package io.github.dl4jlora.internal.base;
