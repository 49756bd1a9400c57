/**
 * What an adapter consists of, apart from any network and any file. Public classes here are no API and may change without
 * notice.
 *
 * <pre>
 *   ContentAccess        the content of a LoRAAdapter, which its users do not see
 *     |
 *     v
 *   AdapterContent       all of an adapter; a value, like everything below
 *     |- Delta           one adapted matrix: A, B and what belongs to them
 *     |    |- Kind           its variant, and how it started
 *     |    `- TensorLayout   how A and B lie in PEFT's files
 *     |- Biases          trained biases of other layers
 *     `- TorchModel      which model of PyTorch it is for
 *
 *   TorchLayout          how PyTorch has a layer that was trained in full -> TensorLayout
 * </pre>
 *
 * Arrows point to what is known.
 */
@NullMarked
package io.github.dl4jlora.internal.content;

import org.jspecify.annotations.NullMarked;
