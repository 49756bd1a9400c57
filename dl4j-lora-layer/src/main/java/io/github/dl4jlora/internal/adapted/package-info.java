/**
 * What the configuration of any adapted layer tells: the classes of {@code layer} implement it. Public classes here are no API
 * and may change without notice.
 *
 * <pre>
 *   AdaptedConfiguration                a stock layer or vertex, where its frozen values are, and what of it is adapted
 *     |- FrozenState                      where its values are that do not train
 *     |- HeldSettings                     the settings, one by one, as JSON and DL4J ask for them
 *     |- OutputConfiguration              what an output layer has beside
 *     |- AdaptedParameter  TrainedBias    one adapted matrix; one bias that trains
 *     |- AdapterLayout                    where each part of the adapter lies in the flat vector
 *     |    `- AdaptedParamInitializer       shows it to DL4J
 *     `- ScaledLearningRate               LoRA+: another updater's learning rate times a factor
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.adapted;

import org.jspecify.annotations.NullMarked;
