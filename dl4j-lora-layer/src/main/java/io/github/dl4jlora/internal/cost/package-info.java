/**
 * What training would take: values, bytes and where they lie, from configurations and sizes alone. Public classes here are no
 * API and may change without notice.
 *
 * <pre>
 *   TrainingCost              the entrance: a planned network, its summary, and the memory that training it would take
 *     |- BatchSizes           the sizes of a batch on its way through a network
 *     |- Workspaces           what DL4J's workspaces grow to, of a chain or a graph of
 *     |    `- Step            a layer or vertex with its
 *     |
 *     |- KeptOutputs          which outputs are kept, which pass, and which are computed again
 *     |- OwnFootprints        of what this library runs in the place of DL4J's layers
 *     |    `- StockFootprints of DL4J's layers and vertices, and of those that say it themselves
 *     |- Told                 what these say, checked
 *     |- PackedBytes          packed copies of frozen matrices
 *     `- QuantizedScratch     what quantised matrices are given back into
 * </pre>
 *
 * <p>{@code internal.build} plans the network, {@code internal.inspect} tells what is in it, {@code footprint} has the values
 * that a layer holds, by where they lie.
 */
@NullMarked
package io.github.dl4jlora.internal.cost;

import org.jspecify.annotations.NullMarked;
