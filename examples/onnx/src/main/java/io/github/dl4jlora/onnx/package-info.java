/**
 * Networks of DL4J as ONNX: {@link io.github.dl4jlora.onnx.OnnxExport} writes them. The packages below this one are no API and
 * may change without notice.
 */
@NullMarked
package io.github.dl4jlora.onnx;

import org.jspecify.annotations.NullMarked;
