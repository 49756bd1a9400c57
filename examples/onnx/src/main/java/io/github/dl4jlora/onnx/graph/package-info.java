/** A graph of ONNX in the making: tensors, weights and nodes. Public classes here are no API and may change without notice. */
@NullMarked
package io.github.dl4jlora.onnx.graph;

import org.jspecify.annotations.NullMarked;
