/** A graph of ONNX in the making: tensors, weights and nodes. */
@NullMarked
package io.github.dl4jlora.onnx.graph;

import org.jspecify.annotations.NullMarked;
