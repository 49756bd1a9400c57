/**
 * The life of a running adapted layer, whatever computes it. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   AdaptedRuntime            what every running adapted layer answers: parts, start, replace, merge, disable
 *     |- Adapter                its parts, how they are replaced and merged, and the frozen values beside them
 *     |    |- AdapterConstants    those that do not train, by content, or computed again
 *     |    |    `- AdapterStart     what they start from: a function of configuration, W and a seed
 *     |    |- StockValues         the frozen parameters as the stock layer calls them, looked up when first asked for
 *     |    `- AdapterInitializer  gives them their start, in the vector and outside it
 *     |- Switches               whether its adapters count, how much, and whether those of a bank stand in for them
 *     |    `- Routing             which rows go through which of a bank's adapters
 *     |- AdaptedProduct          x·W + s·x·A·B and its backward pass
 *     |    `- SlimGradients         gradients of A and B, for several matrices at once
 *     |- Snapshot               whether the layer's part of the vector is what it was
 *     `- BackpropCaller         whether the caller wants the gradient of the input
 * </pre>
 *
 * <p>The running layers are in {@code internal.engine}, {@code internal.recurrent}, {@code internal.attention} and
 * {@code internal.effective}.
 * {@code internal.frozen} runs frozen layers; {@code variant} says what is computed with A and B.
 */
@NullMarked
package io.github.dl4jlora.internal.run;

import org.jspecify.annotations.NullMarked;
