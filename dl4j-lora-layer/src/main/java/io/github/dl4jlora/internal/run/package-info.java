/**
 * What runs adapted layers and vertices. Public classes here are no API and may change without notice; the configurations
 * are in {@code io.github.dl4jlora.layer}.
 *
 * <pre>
 *   AdaptedConfiguration (HeldSettings, OutputConfiguration)      what a configuration of {@code layer} tells:
 *        |       AdaptedParameter, TrainedBias                    its adapted matrices, its trained biases
 *        |
 *        |---- AdapterLayout, AdaptedParamInitializer             where each lies in the flat vector
 *        v
 *   AdaptedRuntime                                                parts, start, replace, merge, disable: every runtime answers
 *     |- KernelRuntime        Kernels                             one life cycle, with products of our own
 *     |    |- DenseRuntime, DenseOutputRuntime                      x·W and the path beside it
 *     |    |- ConvolutionRuntime
 *     |    `- EmbeddingRuntime
 *     |- EffectiveRuntime     EffectiveWeights                    any stock layer, on W + s·A·B
 *     |    |- EffectiveOutputRuntime
 *     |    `- EffectiveRecurrentRuntime
 *     |- EffectiveVertex                                          a vertex, likewise
 *     `- LowRankRuntime                                           the low-rank path alone
 *        |
 *        v
 *   Adapter    AdapterStart, Switches                              one adapter: variant, parameters, start, merge; on or off
 *     |- Snapshot                                                whether the layer's part of the vector is what it was
 *     |- FusedPath, SameDiffPath                                  what computes its path
 *     `- RoutedPath, Routing                                      rows that go through other adapters
 * </pre>
 *
 * <p>Frozen layers are run in {@code internal.frozen}; what is computed with A and B is {@code variant}'s.
 */
package io.github.dl4jlora.internal.run;
