/**
 * Runs any stock layer or vertex on W + s·A·B, and shows DL4J the adapted layer around a stock one, whatever that runs on. Public
 * classes here are no API and may change without notice.
 *
 * <pre>
 *   StockRuntime                        a layer
 *     |- StockOutputRuntime               with the face of an output layer
 *     `- StockRecurrentRuntime            with the face of a recurrent layer
 *     `..SeparableLayer                   in a stock separable convolution's place
 *   EffectiveVertex                     a vertex
 *   StockPart                           what both are: adapter, backward pass, what DL4J sees of their parameters
 *   StockWeights                        what the stock layer or vertex runs on
 *     `- EffectiveWeights                 W + s·A·B, and the gradients of A and B in that of it
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.effective;

import org.jspecify.annotations.NullMarked;
