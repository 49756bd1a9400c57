package io.github.dl4jlora.onnx.layer;

import java.util.HashSet;
import java.util.Set;

/** The outputs whose softmax or sigmoid is to be left out, and the layers that have one. */
public final class Logits {

    private final Set<String> outputs;
    private final Set<String> leftOut = new HashSet<>();
    private final Set<String> written = new HashSet<>();

    /** @param outputs names of layers; none where all activations are written */
    public Logits(Set<String> outputs) {
        this.outputs = outputs;
    }

    /** Whether the softmax or sigmoid that a layer ends in is to be left out; either is noted. */
    boolean leaveOut(String layer) {
        boolean out = outputs.contains(layer);
        (out ? leftOut : written).add(layer);
        return out;
    }

    /** Outputs whose softmax or sigmoid was left out. */
    public Set<String> leftOut() {
        return leftOut;
    }

    /** Whether a layer's output is that of its softmax or sigmoid. */
    public boolean isWritten(String layer) {
        return written.contains(layer);
    }
}
