/**
 * Kernels of LSTM, GravesLSTM and SimpleRnn: frozen weights with low-rank paths beside them, x·W for all time steps at once and a
 * slim loop over these. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   RecurrentKernels                    which layers these are; makes them inside DL4J's wrappers
 *     `- RecurrentKernel                  one layer as DL4J sees it: states, masks, what a pass keeps
 *          |- RecurrentForm                 what it computes
 *          |- TimeMajor                     sequences as matrices
 *          `- Recurrence                    the loops over time
 *               |- State                      memory and outputs
 *               `- Cell                       one time step
 *                    |- LstmCell  SimpleCell
 *                    |- Peepholes               what one LSTM has beside
 *                    |- Curve                   activations
 *                    `- Vectors                 arithmetic on Java's heap
 *                         `- FloatVectors  DoubleVectors
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.recurrent;

import org.jspecify.annotations.NullMarked;
