/**
 * Products and convolutions with frozen weights by oneDNN, softmax and layer normalisation of rows, and copies to another order
 * in memory, where its jars are on the class path. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Products  Convolutions  Rows  Copies   what is computed, or left to others
 *   |- TurnedProducts            few rows by a matrix of codes
 *   Weights --- Layout         the frozen operand of a product: in 32, 16 or 8 bits, where it lies or packed
 *     |- PackedCopies --- Packing  copies in the layout that is multiplied fastest
 *     `- Calls --- Key           a thread's compiled primitives, as many as are worth keeping
 *          `- Call --- Working     one primitive with its operands; a thread's working memory
 *   ConvolutionShape           sizes, strides and padding of a convolution
 *   Finish                     scale, shift and rectifier that follow it
 *   OneDnn                     whether oneDNN is here; on how many threads it runs
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.onednn;

import org.jspecify.annotations.NullMarked;
