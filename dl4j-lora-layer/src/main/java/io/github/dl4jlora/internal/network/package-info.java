/**
 * Networks of DL4J's two classes as one kind of thing: named nodes in topological order, and the same network again with some
 * of them replaced. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Networks                  finds the network of what users hand in
 *      |
 *      +-- GraphNetwork       one of DL4J's graphs    |  RebuiltNetworks makes new ones of them;
 *      +-- LayersNetwork      one of DL4J's chains    |  where nothing trains, ones that refuse to fit
 *      `-- ThawedNetwork      a frozen network as the stock one that it was made of
 *          PlannedNetwork     one that is not made yet
 *          StreamedNetwork    one that is read layer by layer
 *             |
 *          DelegatingNetwork  another network, but for some of its layers
 *             |
 *             v
 *   Network --&gt; Node          what all of them are: nodes; a layer or vertex
 *                 |
 *                 +-- MatrixName   what an adapted parameter is called, and which patterns match it
 *                 +-- TorchTable   what PyTorch calls it
 *                 +-- LayerNames   layers and patterns in messages
 *                 `-- BaseValues   what the network holds of its base, verified
 * </pre>
 *
 * <p>{@code Network} knows none of its kinds. Nothing here decides what becomes of a layer, or changes values:
 * {@code internal.plan}, {@code internal.build} and {@code internal.undo} do.
 */
@NullMarked
package io.github.dl4jlora.internal.network;

import org.jspecify.annotations.NullMarked;
