package io.github.dl4jlora.onnx;

/** Thrown where a network cannot be written as ONNX. The message names the layer, the reason and the remedy. */
public final class OnnxExportException extends IllegalArgumentException {

    private static final long serialVersionUID = 1;

    /** An exception with that message. */
    public OnnxExportException(String message) {
        super(message);
    }

    /** What a layer cannot be written for. */
    public static OnnxExportException of(String layer, String reason, String remedy) {
        return new OnnxExportException("Layer \"" + layer + "\" cannot be written as ONNX: " + reason + ". " + remedy);
    }
}
