/** What each layer, vertex and preprocessor of DL4J is in ONNX. */
@NullMarked
package io.github.dl4jlora.onnx.layer;

import org.jspecify.annotations.NullMarked;
