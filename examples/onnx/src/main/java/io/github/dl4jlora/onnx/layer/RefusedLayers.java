package io.github.dl4jlora.onnx.layer;

import io.github.dl4jlora.onnx.graph.Flow;
import org.deeplearning4j.nn.conf.layers.CapsuleLayer;
import org.deeplearning4j.nn.conf.layers.CapsuleStrengthLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LearnedSelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.PrimaryCapsules;
import org.deeplearning4j.nn.conf.layers.objdetect.Yolo2OutputLayer;

/** DL4J's layers that ONNX cannot express, or that DL4J cannot compute. */
final class RefusedLayers {

    private RefusedLayers() {
    }

    static void addTo(Exports exports) {
        exports.layer(Yolo2OutputLayer.class, (layer, input, here) -> {
            throw here.refusal("the decoding of YOLO's boxes has no counterpart in ONNX",
                    "Take the layer out of the network, and decode outside what the layer before it computes");
        });
        exports.layer(PrimaryCapsules.class, RefusedLayers::capsules);
        exports.layer(CapsuleLayer.class, RefusedLayers::capsules);
        exports.layer(CapsuleStrengthLayer.class, RefusedLayers::capsules);
        exports.layer(LearnedSelfAttentionLayer.class, (layer, input, here) -> {
            throw here.refusal("DL4J itself cannot compute a LearnedSelfAttentionLayer",
                    "Use an AttentionVertex, whose queries are an input");
        });
    }

    private static Flow capsules(Layer layer, Flow input, Place here) {
        throw here.refusal("the routing of capsules (" + layer.getClass().getSimpleName() + ") has no counterpart in ONNX",
                "Take it out of the network, or compute it outside");
    }
}
