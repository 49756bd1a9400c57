/*
 *   LoRAConfig               how LoRA.apply converts a network; immutable, made by its builder
 *     |- LoRASettings          what an adapter is: rank, alpha, scaling, start, dropout, variant
 *     |    |- LoRAOptions        these settings as methods of a builder, the same on every builder that has them
 *     |    |- RawAlpha           warns of an alpha that other libraries would divide by the rank
 *     |    `- Scaling  LoRAInit  Engine      its enumerations
 *     |- Selection             which layers: targets, exclude, trainable, overrides; LayerType
 *     |- Training              what trains how: updater, regularization, seed; BiasTraining
 *     |    `- Accumulated        an updater that makes one update of several batches
 *     |- BaseOptions           where frozen values are, and in what form: FrozenStorage, Quantization
 *     `- FromData              what a start from data does with it
 *   BaseOpener               opens bases at locations that the JDK cannot open; a service
 *   SaveOption               how files are written
 *   TorchNames               what PyTorch calls a network's parameters; TorchParameter: one of them
 */

/**
 * What users set: the settings of an adapter, which layers get one, how they train, and where the frozen values are. All of
 * them are in {@link io.github.dl4jlora.conf.LoRAConfig}.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.conf;

import org.jspecify.annotations.NullMarked;
