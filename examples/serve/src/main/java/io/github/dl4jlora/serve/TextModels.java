package io.github.dl4jlora.serve;

/**
 * How a service's base reads texts.
 *
 * @param encoder  makes embeddings; null if the base makes none
 * @param reranker orders documents; null if the base cannot
 */
record TextModels(BankEncoder encoder, Reranker reranker) {

    /** A base that reads numbers. */
    static final TextModels NONE = new TextModels(null, null);

    static TextModels of(BankEncoder encoder) {
        return new TextModels(encoder, new EncoderReranker(encoder));
    }

    static TextModels of(BankReranker reranker) {
        return new TextModels(null, reranker);
    }

    /** {@return what clients send: texts to be compared, documents to be ordered, or numbers} */
    String reads() {
        return encoder != null ? "texts" : reranker != null ? "documents" : "numbers";
    }

    /** The model's own name, by which clients may ask for the base; null if it has none. */
    String name() {
        return reranker == null ? null : reranker.name();
    }
}
