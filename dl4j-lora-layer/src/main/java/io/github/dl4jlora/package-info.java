/*
 *   LoRA          apply, freeze, disable, scale, plan, summary, merge, unload, attach, save, load, restore
 *    |- LoRAMerge     a merge of some layers, or of a part of what was learned, and a look at what it does
 *    `- BaseSource    a base whose values are in no file that the library knows
 *
 * This package itself computes nothing.
 */

/**
 * The entrance: {@link io.github.dl4jlora.LoRA} adapts trained networks, saves and merges them. Or declare a
 * {@link io.github.dl4jlora.layer.LoRADenseLayer} in a configuration.
 *
 * <p>Settings are in {@link io.github.dl4jlora.conf}, tables for users in {@link io.github.dl4jlora.report}, exceptions in
 * {@link io.github.dl4jlora.exception}. Adapters apart from networks are in {@link io.github.dl4jlora.adapter}, banks with many
 * adapters on one base in {@link io.github.dl4jlora.bank}, layers to declare in {@link io.github.dl4jlora.layer}, and the
 * computations with A and B in {@link io.github.dl4jlora.variant}. {@link io.github.dl4jlora.tune} helps to choose a learning
 * rate and a rank, {@link io.github.dl4jlora.machine} to settle threads. Everything below {@code internal} is no API and may
 * change without notice.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora;

import org.jspecify.annotations.NullMarked;
