/**
 * Makes adapted and frozen networks of stock ones, as {@code internal.plan} decides. Public classes here are no API and may
 * change without notice.
 *
 * <pre>
 *   Adaptation                   the entrance: checks what comes in, has a plan made
 *      |
 *      v
 *   NetworkBuilder               a new network from the configuration, and its values
 *      |- Replacements           which configurations take the place of the network's own
 *      |     |- AdaptedLayers    one layer's or vertex's
 *      |     `- BaseStorage      in what form its frozen weights are kept: as they are, a copy, in fewer bits
 *      |- DataStarts             what was found in data to start from ({@code internal.start} finds it)
 *      |- AdaptationWarnings     what may be, but is better not
 *      |- Accumulation           what does not go with updates of several batches
 *      |- Recomputation          which outputs are computed again in the backward pass
 *      |     `- RecomputedStretch    does so; a Recomputed, RecomputedVertex or RecomputedLayerVertex, is in a vertex's place
 *      |- Wiring                 tells running layers what only the whole network knows
 *      |     |- InputGradients   whose input gradients nobody uses
 *      |     `- PassingOutputs   whose outputs need not be kept for a backward pass
 *      `- FirstSteps             is there a gradient for every B?
 *            `- SparingBlock     DL4J's updater without needless objects
 *
 *   BaseAttachment -&gt; Wiring, FirstSteps       gives an adapted network its base
 * </pre>
 *
 * <p>Each checks all before it changes anything.
 */
@NullMarked
package io.github.dl4jlora.internal.build;

import org.jspecify.annotations.NullMarked;
