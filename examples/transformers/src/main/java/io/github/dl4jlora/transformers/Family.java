package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.ModuleNames;

/**
 * What transformers of one kind have in common: the names of their modules in Hugging Face's classes, and how they are wired.
 * Names are those of the bare model; {@link #prefix} goes before them in a model with a head.
 */
public enum Family {

    /** Devlin et al. 2018, arXiv:1810.04805; norms after each part. */
    BERT("bert."),
    /** Liu et al. 2019, arXiv:1907.11692: BERT's block, with positions that count from the padding id on. */
    ROBERTA("roberta."),
    /** Sanh et al. 2019, arXiv:1910.01108: BERT's block, without token types and pooler. */
    DISTILBERT("distilbert."),
    /** Radford et al. 2019: norms before each part, and no token sees those after it. */
    GPT2("transformer."),
    /** Conneau et al. 2019, arXiv:1911.02116: RoBERTa, for a hundred languages. */
    XLM_ROBERTA("roberta."),
    /** Martin et al. 2019, arXiv:1911.03894: RoBERTa, for French. */
    CAMEMBERT("roberta."),
    /** Song et al. 2020, arXiv:2004.09297: RoBERTa's block, whose scores also depend on the distance of two tokens. */
    MPNET("mpnet.");

    private final String prefix;

    Family(String prefix) {
        this.prefix = prefix;
    }

    /** {@return what goes before the names of the bare model's modules in a model with a head, such as {@code "bert."}} */
    public String prefix() {
        return prefix;
    }

    /** {@return whether a token sees only itself and those before it} */
    public boolean isCausal() {
        return this == GPT2;
    }

    /** {@return whether positions count from the padding id + 1 on, over tokens that are not padding} */
    public boolean countsPositionsFromPadding() {
        return hasHeadsOfRoberta();
    }

    /** {@return whether its heads and the pooler have the names and the arithmetic of RoBERTa's} */
    public boolean hasHeadsOfRoberta() {
        return switch (this) {
            case ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> true;
            default -> false;
        };
    }

    /** {@return whether all blocks add to their scores what one layer has for the distance of two tokens} */
    public boolean hasRelativePositions() {
        return this == MPNET;
    }

    /** {@return what PyTorch calls the parameters of the layers} */
    public ModuleNames names() {
        return switch (this) {
            case BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> ModuleNames.BERT;
            case DISTILBERT -> ModuleNames.DISTILBERT;
            case GPT2 -> ModuleNames.GPT2;
        };
    }

    /** {@return whether PyTorch stores the dense layers of its blocks {@code [in, out]}, as Conv1D, as DL4J does} */
    public boolean storesInByOut() {
        return names().hasConv1d();
    }

    /**
     * {@return whether some class of the family has such a head}
     *
     * @param kind which
     */
    public boolean hasHead(Head.Kind kind) {
        return switch (kind) {
            case TOKEN_VECTORS, MEAN_POOLING, FIRST_TOKEN, MAX_POOLING, CLASSIFIER, REGRESSION, MULTI_LABEL, TOKEN_CLASSES,
                ANSWER -> true;
            case POOLER -> this == BERT || hasHeadsOfRoberta();
            case MASKED_WORDS, MASKED_WORDS_AT_POSITIONS -> !isCausal();
            case NEXT_WORD -> isCausal();
        };
    }

    /** {@return the module of the word embeddings, which is a matrix of the layer {@link Transformer#EMBEDDINGS} here} */
    public String words() {
        return names().words();
    }

    /** {@return the module of the position embeddings} */
    public String positions() {
        return names().positions();
    }

    /** {@return the module of the token type embeddings, of families that have them} */
    public String types() {
        return names().types();
    }

    /** {@return the part of a transformer layer that widens, {@code [hidden, intermediate]}, for {@link #name}} */
    public String wide() {
        return switch (this) {
            case BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> "intermediate.dense";
            case DISTILBERT -> "ffn.lin1";
            case GPT2 -> "mlp.c_fc";
        };
    }

    /**
     * @param layer from 0
     * @param part  such as {@code "attention.self.query"}
     * @return the name of a part of a transformer layer, such as {@code "encoder.layer.0.attention.self.query"}
     */
    public String name(int layer, String part) {
        String blocks = switch (this) {
            case BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> "encoder.layer.";
            case DISTILBERT -> "transformer.layer.";
            case GPT2 -> "h.";
        };
        return blocks + layer + "." + part;
    }
}
