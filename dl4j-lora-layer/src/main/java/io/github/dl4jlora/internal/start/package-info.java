/**
 * What adapters start as that start from data, as far as it is arithmetic. Public classes here are no API and may change
 * without notice.
 *
 * <pre>
 *   Watch              a variant that changes nothing and sees what a layer gets, and its gradient
 *   InputComponents    principal components of a layer's inputs, batch by batch
 *   RankBudget         ranks by how much each component explains
 * </pre>
 *
 * <p>Knows variants and kernels, and no network: {@code internal.rewrite} makes one that is watched and walks over the data. What
 * LoRA-GA makes of a gradient is in {@code variant}, with the other starts.
 */
package io.github.dl4jlora.internal.start;
