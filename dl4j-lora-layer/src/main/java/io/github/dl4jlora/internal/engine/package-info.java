/**
 * Runs adapted layers with this library's own products: a frozen part and a low-rank path side by side. Public classes here are
 * no API and may change without notice.
 *
 * <pre>
 *   Kernels                                 which layers these are, and what runs a layer
 *     v
 *   KernelRuntime                           what DL4J sees: one life cycle, masks, scopes; subclasses have the products
 *     |- KeptPass                             what a training pass keeps for the way back
 *     |- LayerOutputs                         what multiplies outputs and replaces biases: a variant, or a bank's adapters
 *     |- DenseRuntime                         x·W and the path beside it
 *     |    |- DenseOutputRuntime                with a loss
 *     |    |- FusedPath  SameDiffPath           what computes the path: six slim products, or SameDiff
 *     |    `- RoutedPath                        the paths of a bank's adapters, each for some rows
 *     |- ConvolutionRuntime                   windows of the input, or of a transposed convolution's output
 *     `- EmbeddingRuntime                     rows of W and of A
 *   LowRankRuntime                          the low-rank path alone, as LowRankLayer declares it
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.engine;

import org.jspecify.annotations.NullMarked;
