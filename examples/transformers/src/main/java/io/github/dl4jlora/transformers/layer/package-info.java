/**
 * The BERT encoder (Devlin et al. 2018, arXiv:1810.04805) as a ComputationGraph: DL4J's own dense layers, and the few
 * layers, vertices and the activation that DL4J lacks.
 *
 * <p>Everything between the embeddings and the pooling has one row for each token, {@code [minibatch · tokens, hidden]}
 * in 'c' order. The token ids {@code [minibatch, tokens]}, with the padding id where a text has no token, are the first input of
 * the network; whatever has to know what is padding looks at them, and at their mask of features if there is one
 * ({@code KeptTokens}). The embeddings refuse a mask that contradicts the ids.
 */
package io.github.dl4jlora.transformers.layer;
