/**
 * Decides what becomes of each layer when a network is adapted, from configurations alone: nothing is built and no value is
 * read. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Agreement           an adapter's configuration and one for training it on: do they contradict each other?
 *      |
 *      v
 *    Plan --&gt; Role      every node's role, and why
 *      |
 *      v
 *   Targets             which parameters of which nodes are adapted
 *
 *   AdapterLayers       are all layers of an adapter in the network?
 * </pre>
 *
 * <p>{@code internal.build} makes what is decided here.
 */
@NullMarked
package io.github.dl4jlora.internal.plan;

import org.jspecify.annotations.NullMarked;
