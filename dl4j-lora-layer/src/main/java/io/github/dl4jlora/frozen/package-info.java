/*
 *   FrozenBaseLayer       FrozenBaseVertex        frozen: run by internal.frozen on weights of internal.base
 *   TrainedSameDiffLayer  TrainedSameDiffVertex   trained in full, by SameDiff: with right gradients
 *   FrozenParamInitializer                        shows DL4J that nothing of them trains
 *   BaseOpener                                    the name that 0.2.0 had for the interface in conf
 */

/**
 * Configurations that {@code LoRA.apply} makes from the layers that it does not adapt. They are written into the JSON of
 * adapted networks, so their names stay.
 *
 * <p>Each holds the stock configuration, which {@code merge} and {@code unload} give back. Adapted layers are in
 * {@link io.github.dl4jlora.layer}.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.frozen;

import org.jspecify.annotations.NullMarked;
