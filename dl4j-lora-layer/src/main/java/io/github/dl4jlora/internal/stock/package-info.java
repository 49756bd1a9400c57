/**
 * DL4J's lore.
 */
package io.github.dl4jlora.internal.stock;
