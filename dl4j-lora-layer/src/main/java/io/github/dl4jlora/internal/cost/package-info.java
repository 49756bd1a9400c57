/**
 * How many values a training step holds beside parameters, from configurations and sizes alone. Public classes here are no API
 * and may change without notice.
 *
 * <pre>
 *   Workspaces              what DL4J's workspaces grow to, of a chain or a graph of
 *     `- Step               a layer or vertex with its
 *          `- Footprint     values by where they lie and how long they live
 *
 *   OwnFootprints           of what this library runs in the place of DL4J's layers
 *     `- StockFootprints    of DL4J's layers and vertices
 *          `- Passage       the sizes of a batch on its way through
 *   QuantizedScratch        what quantised matrices are given back into
 * </pre>
 *
 * <p>Knows what runs a layer, and nothing of networks, plans or weights.
 */
package io.github.dl4jlora.internal.cost;
