/**
 * The arithmetic of this library's layers, adapted or frozen. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   FrozenConvolution                          a convolution with frozen weights, forward and backward, and a low-rank one:
 *     |- DirectConvolution                       by oneDNN
 *     |- UnfoldedConvolution --- Windows         as matrix products; a few windows at once by PlaneWindows
 *     |- TransposedConvolution                   a transposed one, by one of both
 *     `- DepthwiseConvolution                    one in groups, by oneDNN or libnd4j
 *   SeparableConvolution                       frozen: a depthwise one, and one with a kernel of one number
 *   ConvolutionLayout  EmbeddingLayout         how a stock layer has its numbers: channels, words, weights, masks
 *   DenseArithmetic --- Rectifier              order of results, biases, activations and their gradients
 *   FrozenMatrix                               what is asked of frozen weights, however they are stored:
 *     |- PackedMatrix                            with packed copies for its products
 *     |- PlainMatrix                             an array
 *     `- QuantizedProduct                        a matrix in fewer bits, multiplied a block at a time
 *          `- SlimProduct --- ColumnFactors        by few rows
 *   PassingOutput                              outputs that no backward pass looks at
 *   KeptSlopes --- PackedSlopes                slopes of an activation, in half the memory of its input
 *   MaskedSteps                                a layer that knows of masked steps and computes them all the same
 *   Disableable                                a layer that can compute what the base's own does, bit for bit
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.kernel;

import org.jspecify.annotations.NullMarked;
