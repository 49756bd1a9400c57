/** Networks of DL4J as ONNX. */
@NullMarked
package io.github.dl4jlora.onnx;

import org.jspecify.annotations.NullMarked;
