/** Compares what was written with the network, in ONNX Runtime. */
@NullMarked
package io.github.dl4jlora.onnx.check;

import org.jspecify.annotations.NullMarked;
