/**
 * What runs frozen layers and vertices. The configurations are in {@code io.github.dl4jlora.frozen}.
 *
 * <pre>
 *   FrozenBaseLayer             FrozenBaseVertex        configurations
 *         |                            |
 *   FrozenLayers                       |                which runtime a layer gets
 *         |                            |
 *   FrozenRuntime               FrozenVertexRuntime     computes, and passes gradients through
 *     |- FrozenOutputRuntime           |                with the face of an output layer
 *     |- FrozenRecurrentRuntime        |                with the face of a recurrent layer
 *     |- StoppedRuntime around it      |                ends backpropagation
 *     |- FeaturizingCaller             |                whether DL4J's helper that featurizes asks
 *     +------------- FrozenPart -------+                one life: stand-in, binding, scratch gradient, SameDiff
 *     |                  |
 *     |           FrozenParameters                      where the values are ---> internal.base
 *     |
 *   FrozenArithmetic, in the place of the innermost stock layer
 *     FrozenBatchNorm                                   test mode and its backward pass
 *     FrozenKernel - FrozenProduct                      one product each way: dense, convolution ---> internal.kernel
 *     FrozenOutputs                                     output layers on matrices that are kept in fewer bits
 *       FrozenMatrices                                  their matrices, and those of products and of kernels for sequences
 * </pre>
 *
 * <p>Public classes here are no API and may change without notice.
 */
@NullMarked
package io.github.dl4jlora.internal.frozen;

import org.jspecify.annotations.NullMarked;
