/**
 * Variants of LoRA: which parameters a path has, how they start, what it computes, what a merge writes. Layers know
 * {@link io.github.dl4jlora.variant.Variant}, not its implementations. The algebra of the starts that are taken from W
 * is here too; networks, files and layers are not.
 */
package io.github.dl4jlora.variant;
