/**
 * The algebra of adapters: what can be computed with A and B alone, mostly without forming ΔW. Public classes here are no API
 * and may change without notice.
 *
 * <pre>
 *   Geometry              an adapter measured, compared with another, and made smaller
 *     |- InnerProduct     of two ΔW
 *     v
 *   Svd                   of a matrix, or of A·B
 *     ^
 *     |
 *   LayerCombination      one layer of several adapters as one A and one B
 *   LayerUnion            which layers several adapters have, and whether they go together
 *   TaskVectors           the values of several adapters in one place: sum, sign, density
 * </pre>
 *
 * Arrows point to what is known.
 */
@NullMarked
package io.github.dl4jlora.internal.algebra;

import org.jspecify.annotations.NullMarked;
