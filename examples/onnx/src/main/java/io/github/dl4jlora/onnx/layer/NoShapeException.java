package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.OnnxExportException;

/** Thrown where a size of the network's inputs is too small for a layer, or of no use to it. Another size may do. */
public final class NoShapeException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** What a layer cannot be written for, as {@link OnnxExportException#of} has it. */
    public NoShapeException(String layer, String reason, String remedy) {
        super(OnnxExportException.of(layer, reason, remedy).getMessage());
    }
}
