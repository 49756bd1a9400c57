/**
 * LoRA for Deeplearning4j: the entrance. Begin with {@link io.github.dl4jlora.LoRA#apply}, or declare a
 * {@link io.github.dl4jlora.layer.LoRADenseLayer} in a configuration.
 *
 * <pre>
 *   LoRA          apply, freeze, disable, scale, plan, summary, merge, unload, attach, save, load, restore
 *    |- LoRAMerge     a merge of some layers, or of a part of what was learned, and a look at what it does
 *    `- BaseSource    a base whose values are in no file that the library knows
 * </pre>
 *
 * <p>Settings are in {@code conf}, tables for users in {@code report}, exceptions in {@code exception}. Adapters apart from
 * networks are in {@code adapter}, banks with many adapters on one base in {@code bank}, layers to declare in {@code layer},
 * and the computations with A and B in {@code variant}. {@code tune} helps to choose a learning rate and a rank,
 * {@code machine} to settle threads. This package itself computes nothing. Everything below {@code internal} is no API and may
 * change without notice.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora;

import org.jspecify.annotations.NullMarked;
