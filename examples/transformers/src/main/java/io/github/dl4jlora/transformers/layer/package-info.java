/**
 * The BERT encoder (Devlin et al. 2018, arXiv:1810.04805) as a ComputationGraph: DL4J's own dense layers, and the few
 * layers, vertices and the activation that DL4J lacks.
 *
 * <p>Everything between the embeddings and the pooling has one row for each token, {@code [minibatch · tokens, hidden]}
 * in 'c' order. The token ids {@code [minibatch, tokens]}, with zeros after the end of a text, are the only input of
 * the network; whatever has to know where a text begins or ends looks at them. The embeddings refuse padding elsewhere, and a
 * mask that says something else ({@code TextEnds}).
 */
package io.github.dl4jlora.transformers.layer;
