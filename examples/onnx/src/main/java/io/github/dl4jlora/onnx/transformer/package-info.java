/**
 * What each layer and vertex of dl4j-lora-transformers is in ONNX. That module may be missing, so nothing outside this package
 * names its classes. Public classes here are no API and may change without notice.
 */
@NullMarked
package io.github.dl4jlora.onnx.transformer;

import org.jspecify.annotations.NullMarked;
