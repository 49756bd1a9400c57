/**
 * Starts from data: what an adapter's A and B are at first, by EVA or LoRA-GA. Public classes here are no API and may change
 * without notice.
 *
 * <pre>
 *   StartSearch                 the entrance: a frozen network in which layers are watched, and what they saw
 *      |- DataPass              a walk over the beginning of the user's data
 *      |- ObservingVariant      shows what a layer takes in, and its gradients
 *      |- InputComponents       of inputs, batch by batch: components, how much each explains, whether they still move
 *      `- RankBudget            EVA's distribution of ranks over layers
 * </pre>
 *
 * <p>Has {@code internal.build} make the watched network, and then the adapted one. What becomes of a gradient is
 * {@code GradientStart}'s business, in {@code variant}.
 */
@NullMarked
package io.github.dl4jlora.internal.start;

import org.jspecify.annotations.NullMarked;
