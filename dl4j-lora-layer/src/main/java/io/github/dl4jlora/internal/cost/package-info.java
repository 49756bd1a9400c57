/**
 * What training would take: values, bytes and where they lie, from configurations and sizes alone. Public classes here are no
 * API and may change without notice.
 *
 * <pre>
 *   TrainingCost              the entrance: a planned network, its summary, and the memory that training it would take
 *     |- BatchSizes           the sizes of a batch on its way through a network
 *     |- Workspaces           what DL4J's workspaces grow to, of a chain or a graph of
 *     |    `- Step            a layer or vertex with its
 *     |         `- Footprint  values by where they lie and how long they live
 *     |
 *     |- OwnFootprints        of what this library runs in the place of DL4J's layers
 *     |    `- StockFootprints of DL4J's layers and vertices
 *     |         `- Passage    the sizes of a batch on its way through one of them
 *     |- PackedBytes          packed copies of frozen matrices
 *     `- QuantizedScratch     what quantised matrices are given back into
 * </pre>
 *
 * <p>{@code internal.build} plans the network, {@code internal.inspect} tells what is in it.
 */
@NullMarked
package io.github.dl4jlora.internal.cost;

import org.jspecify.annotations.NullMarked;
