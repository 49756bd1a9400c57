package io.github.dl4jlora.models.encoder;

/** Which layers of an encoder get adapters, as patterns of names, whichever family it is of and whatever head it has. */
public final class EncoderTargets {

    /** Where the paper has them: Hu et al. 2021, section 4.2. */
    public static final String QUERY_VALUE = ".*\\blayer\\.\\d+\\..*\\.(query|value|q_lin|v_lin|attn\\.[qv])";
    /** All dense layers of the blocks. */
    public static final String LINEAR = ".*\\blayer\\.\\d+\\..*(query|key|value|dense|[qkv]_lin|out_lin|lin1|lin2|attn\\.[qkvo])";

    private EncoderTargets() {
    }
}
