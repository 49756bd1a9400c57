/**
 * Products, windows and what is kept between passes: the arithmetic of layers that are ours, adapted or frozen.
 *
 * <pre>
 *   UnfoldedConvolution --- Windows            a convolution as matrix products, forward and backward
 *   ConvolutionLayout                          how a stock convolution has its numbers: channels, weights, masks
 *   DenseArithmetic --- Rectifier              order of results, biases, activations and their gradients
 *   Blas --- DirectBlas --- HostMemory         products, by the CPU's BLAS itself where that can be
 *   FewRows                                    products of few rows with a large matrix, without packing that
 *   FrozenMatrix                               what is asked of frozen weights, however they are stored:
 *     PlainMatrix                                an array
 *     QuantizedProduct --- GrowingScratch        a matrix in fewer bits, multiplied a block at a time
 *       SlimProduct --- ColumnFactors              by few rows
 *   Decomposition                              singular values and vectors, all or the strongest
 *   Scratch                                    an array that each pass writes anew
 *   PassingOutput --- GrowingScratch           outputs that no backward pass looks at
 *   KeptSlopes --- PackedSlopes                slopes of an activation, in half the memory of its input
 *   KeptArrays                                 whether what a forward pass kept is still there
 *   MaskedSteps                                a layer that knows of masked steps and computes them all the same
 *   Disableable                                a layer that can compute what the base's own does, bit for bit
 * </pre>
 *
 * <p>Knows DL4J, ND4J, {@code internal.processor} and {@code internal.quantized}; {@code internal.run}, {@code internal.frozen}
 * and whatever decomposes a matrix know it. Public classes here are no API and may change without notice.
 */
package io.github.dl4jlora.internal.kernel;
