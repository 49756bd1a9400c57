/**
 * Matrix products, and the memory that they work in. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Blas                        the one seam behind which the CPU's BLAS is called without an operation of ND4J around it
 *     |- DirectBlas --- Lie       the calls themselves, for matrices that lie as BLAS can read them; all others are ND4J's
 *     |    |- FewRows               few rows with a large matrix, without packing that
 *     |    |- FewColumns            a large matrix with few columns, likewise
 *     |    `- SlimRows              low-rank products of single rows
 *     |- Block                    a part of a matrix, for products without an array for each of them
 *     `- Route --- SlimFactors    what stands in for a layer's own adapter, for some rows of its input; A and B of it
 *   Decomposition               singular values and vectors, all or the strongest, by LAPACK
 *   IndexedRows                 rows of a narrow matrix by their indexes, such as A of an embedding
 *   HostMemory                  whether code of ours may read and write an array where it lies
 *   Bfloat16                    FLOAT of 16 bits
 *   FastExp  RowLoops           exponentials, sums and softmax in loops that become vector instructions
 *   KeptArrays                  whether what a forward pass kept is still there
 *   Scratch  GrowingScratch     arrays outside workspaces that each pass writes anew
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.blas;

import org.jspecify.annotations.NullMarked;
