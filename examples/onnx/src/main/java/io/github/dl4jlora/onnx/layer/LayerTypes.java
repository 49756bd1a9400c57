package io.github.dl4jlora.onnx.layer;

import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.TimeDistributed;
import org.jspecify.annotations.Nullable;

/** What layers and vertices are. Those of dl4j-lora-transformers go by name, since the module may be missing. */
public final class LayerTypes {

    private static final String TRANSFORMERS = "io.github.dl4jlora.transformers.layer.";
    private static final String TOKENS = TRANSFORMERS + "TokenEmbeddings";
    private static final String TYPED_IDS = TRANSFORMERS + "TypedIds";

    private LayerTypes() {
    }

    /** Whether dl4j-lora-transformers is on the class path. */
    public static boolean hasTransformers() {
        try {
            Class.forName(TOKENS, false, LayerTypes.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    /** Whether a layer or vertex is of dl4j-lora-transformers. */
    public static boolean isOfTransformers(Object type) {
        return type.getClass().getName().startsWith(TRANSFORMERS);
    }

    /** Whether an input of a layer or vertex of dl4j-lora-transformers is ids: all but the first, which is rows mostly. */
    public static boolean areIdsOfTransformers(Object type, int input) {
        return input > 0 && isOfTransformers(type) || type.getClass().getName().equals(TYPED_IDS);
    }

    /** Whether this is what transformers read ids of tokens with. */
    public static boolean isTokenEmbeddings(@Nullable Object type) {
        return type != null && type.getClass().getName().equals(TOKENS);
    }

    /** Whether a layer looks ids up that are its only input. */
    public static boolean isEmbedding(@Nullable Object type) {
        return type instanceof TimeDistributed steps ? steps.getUnderlying().getClass() == EmbeddingLayer.class
                : type != null && (type.getClass() == EmbeddingLayer.class || type.getClass() == EmbeddingSequenceLayer.class)
                || isTokenEmbeddings(type);
    }
}
