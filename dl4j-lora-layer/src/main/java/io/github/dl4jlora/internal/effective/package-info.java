/**
 * Runs any stock layer or vertex on W + s·A·B. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   EffectiveRuntime                    a layer
 *     |- EffectiveOutputRuntime           with the face of an output layer
 *     `- EffectiveRecurrentRuntime        with the face of a recurrent layer
 *   EffectiveVertex                     a vertex
 *   EffectivePart                       what both are: adapter, backward pass, what DL4J sees of their parameters
 *   EffectiveWeights                    W + s·A·B itself, and the gradients of A and B in that of it
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.effective;

import org.jspecify.annotations.NullMarked;
