/**
 * Matrices in fewer bits: how a line is stored, and how it is given back. Public classes here are no API and may change without
 * notice.
 *
 * <pre>
 *   internal.base (keeps them)     internal.kernel (multiplies by them)
 *            |                            |
 *            +-------------+--------------+
 *                          v
 *                  QuantizedMatrix          codes and scales of every line, in memory or mapped
 *                          |
 *                      LineCodec            what one line is stored as
 *         Bfloat16Codec, Int8Codec, NormalFloatCodec
 *                                     |           |
 *                                SmallFloat  NormalFloatRow  magnitudes in eight bits each; one row times lines
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.quantized;

import org.jspecify.annotations.NullMarked;
