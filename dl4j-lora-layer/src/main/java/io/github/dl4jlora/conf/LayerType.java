package io.github.dl4jlora.conf;

/**
 * Kinds of DL4J layers with weights, to choose what {@link io.github.dl4jlora.LoRA#apply LoRA.apply} adapts:
 * {@code LoRAConfig.builder().targets(LayerType.CONVOLUTION)}. A wrapper such as Bidirectional or LastTimeStep is of the
 * kind of the layer inside it.
 */
public enum LayerType {

    /** DenseLayer. */
    DENSE,
    /** OutputLayer, RnnOutputLayer, CenterLossOutputLayer. */
    OUTPUT,
    /** EmbeddingLayer, EmbeddingSequenceLayer. */
    EMBEDDING,
    /** Convolutions of one to three dimensions, deconvolutions, separable and depthwise ones. */
    CONVOLUTION,
    /** LocallyConnected1D, LocallyConnected2D. */
    LOCALLY_CONNECTED,
    /** LSTM, GravesLSTM, GravesBidirectionalLSTM, SimpleRnn. */
    RECURRENT,
    /** SelfAttentionLayer, RecurrentAttentionLayer, AttentionVertex. */
    ATTENTION,
    /** PrimaryCapsules, CapsuleLayer. */
    CAPSULE,
    /** AutoEncoder, VariationalAutoencoder: their encoders. */
    AUTO_ENCODER
}
