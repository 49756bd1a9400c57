/**
 * The arithmetic of this library's layers, adapted or frozen. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   EmbeddingLayout                            how a stock layer has its words, vectors and masks
 *   DenseArithmetic --- Rectifier              order of results, biases, activations and their gradients
 *   FrozenMatrix                               what is asked of frozen weights, however they are stored:
 *     |- PackedMatrix                            with packed copies for its products
 *     |- PlainMatrix                             an array
 *     `- QuantizedProduct                        a matrix in fewer bits, multiplied a block at a time
 *          `- SlimProduct --- ColumnFactors        by few rows
 *   PassingOutput                              outputs that no backward pass looks at
 *   KeptSlopes --- PackedSlopes                slopes of an activation, in half the memory of its input
 *   MaskedSteps                                a layer that knows of masked steps and computes them all the same
 *   LabelledSteps                              sequences whose labels are not theirs, which an output layer refuses
 *   LentInputs                                 inputs that a forward pass need not copy
 *   OutlivingArrays                            what a layer keeps beyond its own pass
 *   Disableable                                a layer that can compute what the base's own does, bit for bit
 *   OwnArithmetic                                what computes in its place, and is told so
 *   KernelWeights                              what a kernel of several matrices computes with
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.kernel;

import org.jspecify.annotations.NullMarked;
