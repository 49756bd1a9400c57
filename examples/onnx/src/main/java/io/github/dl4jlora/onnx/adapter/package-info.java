/** Adapters as inputs of a graph, and as files that ONNX Runtime puts into them. */
@NullMarked
package io.github.dl4jlora.onnx.adapter;

import org.jspecify.annotations.NullMarked;
