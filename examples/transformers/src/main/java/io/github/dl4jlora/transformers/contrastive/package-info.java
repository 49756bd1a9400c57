/**
 * Training on batches that are larger than what memory holds at once.
 *
 * <pre>
 *   CachedNegatives        a network that trains in parts
 *      |- Parts            the texts of a batch by length
 *      |- RandomStates     both passes of a part drop the same
 *      |- GradientSum      of all parts
 *      `- BatchLoss        the loss of all texts at once
 *           `- HandedGradient   stands in for it while a part goes back
 * </pre>
 */
package io.github.dl4jlora.transformers.contrastive;
