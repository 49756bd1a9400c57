/**
 * What each layer, vertex and preprocessor of DL4J is in ONNX. Public classes here are no API and may change without notice.
 */
@NullMarked
package io.github.dl4jlora.onnx.layer;

import org.jspecify.annotations.NullMarked;
