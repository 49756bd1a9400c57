/*
 *   LoRADenseLayer                dense, A and B beside frozen weights
 *     |- AdaptedOutputLayer       an output layer, with its loss
 *     `- DenseSettings, DenseTwin  what it cannot be; what it is made of and becomes
 *   LoRAWrapperLayer              any other layer, around its stock configuration
 *   LoRAWrapperVertex             a vertex with weights, likewise
 *   LowRankLayer                  the low-rank path alone, in SameDiff
 *        |
 *        v  instantiate
 *   internal.engine, internal.recurrent, internal.effective      what runs them
 *
 * This package itself computes nothing.
 */

/**
 * Configurations of adapted layers, which a user declares or {@code LoRA.apply} makes from stock layers. They are written into
 * the JSON of adapted networks, so their names stay. To declare: {@link io.github.dl4jlora.layer.LoRADenseLayer}.
 *
 * <p>Frozen layers without a low-rank path are in {@link io.github.dl4jlora.frozen}.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.layer;

import org.jspecify.annotations.NullMarked;
