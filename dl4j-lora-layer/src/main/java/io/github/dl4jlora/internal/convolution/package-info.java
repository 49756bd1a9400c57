/**
 * Convolutions with frozen weights. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   ConvolutionLayout                          how a stock layer has its numbers, and which of these computes it:
 *     v
 *   FrozenConvolution                          forward and backward, and a low-rank convolution beside it:
 *     |- DirectConvolution                       by oneDNN
 *     |- UnfoldedConvolution --- Windows         as matrix products; copied by PlaneWindows or ND4J
 *     |- TransposedConvolution                   a transposed one, by one of both
 *     `- DepthwiseConvolution                    one in groups, by oneDNN or libnd4j
 *   SeparableConvolution                       a depthwise one, and one with a kernel of one number
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.convolution;

import org.jspecify.annotations.NullMarked;
