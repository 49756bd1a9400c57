/**
 * What runs frozen layers and vertices. The configurations are in {@code io.github.dl4jlora.frozen}.
 *
 * <pre>
 *   FrozenBaseLayer             FrozenBaseVertex        configurations
 *         |                            |
 *   FrozenRuntime               FrozenVertexRuntime     what DL4J sees: no parameters, state, labels, an output
 *     | a LayerAtRest; of its own:     |                of its own
 *     | Output, Recurrent              |
 *     |  StoppedRuntime around it      |                ends backpropagation
 *     +------------- FrozenPart -------+                one life: stand-in, binding, scratch gradient, SameDiff
 *     |                  |
 *     |           FrozenParameters                      where the values are ---> internal.base
 *     |
 *   FrozenArithmetic, in the place of the innermost stock layer
 *     FrozenBatchNorm                                   test mode and its backward pass
 *     FrozenKernel - FrozenProduct                      one product each way: dense, convolution ---> internal.kernel
 * </pre>
 *
 * <p>Knows {@code internal.base}, {@code internal.kernel} and {@code internal.stock}; nothing here knows what is adapted.
 * Public classes here are no API and may change without notice.
 */
package io.github.dl4jlora.internal.frozen;
