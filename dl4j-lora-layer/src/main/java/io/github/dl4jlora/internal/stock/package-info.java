/**
 * Knowledge about DL4J: what its stock layers have and do, and where they do it wrong. Public classes here are no API and may
 * change without notice.
 *
 * <pre>
 *   StockLayers                              which layers there are, and what each can have done to it
 *     |- StockMatrices - MatrixForm          the weight matrices of each, and how they lie in memory
 *     |- StockBiases                         its biases
 *     |- UnwrittenBidirectional              the one layer that writes to its parameters when it is made, without that
 *     |- LambdaVertices                      users' SameDiff vertices, of which DL4J's clone() drops the fields
 *     `- TestModeRReLU                       the one activation that is random, computed as in inference
 *   TrainedReplacement                       what stands in the place of a stock layer or vertex and trains what that says
 *   WrapperVertex                            what stands in the place of a stock vertex and holds it
 *
 *   Hollow                                   stock layers without weights, for what they know without them
 *   OutputDelegate, RecurrentDelegate        interfaces by which DL4J knows a layer, handed on to the stock layer within
 *   HiddenState                              hides that a layer is recurrent
 *   SameDiffBackprop - SameDiffGradients     gradients of SameDiff layers, which DL4J doubles
 *   WholeVector                              a vector for a network that has the wrong length, which DL4J hands out unchecked
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.stock;

import org.jspecify.annotations.NullMarked;
