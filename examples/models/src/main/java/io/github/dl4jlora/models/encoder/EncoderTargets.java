package io.github.dl4jlora.models.encoder;

import io.github.dl4jlora.transformers.Transformer;

/** Which layers of an encoder get adapters, as patterns of names, whichever family it is of and whatever head it has. */
public final class EncoderTargets {

    /** Queries and values. */
    public static final String QUERY_VALUE = Transformer.QUERY_VALUE;
    /** All dense layers of the blocks. */
    public static final String LINEAR = ".*\\blayer\\.\\d+\\..*(query|key|value|dense|[qkv]_lin|out_lin|lin1|lin2|attn\\.[qkvo])";

    private EncoderTargets() {
    }
}
