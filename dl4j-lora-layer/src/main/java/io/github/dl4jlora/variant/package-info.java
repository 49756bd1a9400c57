/**
 * Variants of LoRA: which parameters a path has, how they start, what it computes, what a merge writes. Layers know
 * {@link io.github.dl4jlora.variant.Variant}, not its implementations.
 *
 * <pre>
 *   Variant  ----------- Parameter           the seam: what trains beside W
 *     |- NamedVariant                        equal by name, one word in JSON
 *     |    |- PlainLoRA                      s·A·B
 *     |    |- FrozenALoRA                    with A at its start
 *     |    `- DoRA                           magnitude and direction
 *     v
 *   LowRankPath -------- Host                one layer's path while it runs; what it may ask of its layer
 *     |- LowRankProduct                      s·x·A·B and its gradients
 *     `- DoRAPath ------ ColumnNorms         with the magnitudes
 *
 *   OrthogonalStart  QrStart  PrincipalStart ---- Matrices      the starts of A and B that need algebra
 * </pre>
 *
 * <p>Networks, files and layers are not known here.
 *
 * @serial exclude
 */
package io.github.dl4jlora.variant;
