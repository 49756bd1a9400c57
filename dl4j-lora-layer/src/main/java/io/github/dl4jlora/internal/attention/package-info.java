/**
 * Kernels of DL4J's attention: frozen projections with low-rank paths beside them, and scores of one head of one example at a
 * time. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   AttentionKernels                    which layers and vertices these are; makes what runs them
 *     |- AttentionLayer                   the layer as DL4J sees it
 *     |- AttentionNode                    the vertex as DL4J sees it
 *     |    `- Sequences                     sequences as rows, and masks
 *     `- Attention                        projections, forward and backward, what a pass keeps
 *          |- AttentionForm                 what it computes
 *          |- Head                          its products, where its numbers lie
 *          `- Softmax                       of scores, and its backward pass
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.attention;

import org.jspecify.annotations.NullMarked;
