/*
 *   Variant  ----------- Parameter           the seam: what trains beside W
 *     |- VariantIds                          what JSON calls it
 *     |- NamedVariant                        equal by name, one word in JSON
 *     |    |- PlainLoRA                      s·A·B
 *     |    |- FrozenALoRA                    with A at its start
 *     |    `- DoRA                           magnitude and direction
 *     v
 *   LowRankPath -------- Host                a dense layer's path while it runs; what it may ask of its layer
 *     `- LowRankProduct                      s·x·A·B and its gradients
 *   OutputScale -------- LayerWeights        what a layer's outputs are multiplied by; what of its layer that depends on
 *     `- DoRAScale ----- ColumnNorms         magnitudes by norms
 *
 *   OrthogonalStart  QrStart  PrincipalStart ---- Matrices      the starts of A and B that need algebra
 *   GradientStart                                               that of LoRA-GA
 */

/**
 * Variants of LoRA: which parameters a path has, how they start, what it computes, what a merge writes. Layers know
 * {@link io.github.dl4jlora.variant.Variant}, not its implementations.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.variant;

import org.jspecify.annotations.NullMarked;
