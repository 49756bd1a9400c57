package io.github.dl4jlora.onnx;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.onnx.layer.Exports;
import io.github.dl4jlora.onnx.layer.LayerTypes;
import io.github.dl4jlora.onnx.transformer.TextForm;
import io.github.dl4jlora.onnx.transformer.TransformerLayers;

/** The module of transformers, which may be missing: then there is no network with its layers either. */
final class Transformers {

    private Transformers() {
    }

    /** Adds its layers, if it is on the class path. */
    static Exports addTo(Exports exports) {
        if (LayerTypes.hasTransformers()) {
            TransformerLayers.addTo(exports);
        }
        return exports;
    }

    /**
     * The form that programs expect which read texts.
     *
     * @throws OnnxExportException if the network is no transformer, or makes the ids of its inputs
     */
    static TextForm form(Network<?> network) {
        TextForm form = LayerTypes.hasTransformers() ? TextForm.of(network) : null;
        if (form == null) {
            throw new OnnxExportException("forText(): the network has no TokenEmbeddings, the layer of transformers that reads "
                    + "ids of tokens. Leave the call out");
        }
        form.requireIds();
        return form;
    }
}
