/**
 * Transformers as a user meets them: the {@link io.github.dl4jlora.transformers.TransformerShape shape} of one, the
 * {@link io.github.dl4jlora.transformers.Family family} that says how its modules are named and wired, and the
 * {@link io.github.dl4jlora.transformers.Head head} that says what a network is for. Layers are named as PyTorch names the
 * modules, so that adapters made in Python fit by name.
 *
 * <pre>
 * Transformer.addTo(graph, shape, head)
 *     input_ids  →  embeddings  →  blocks  →  [minibatch · tokens, hidden]  →  head
 * </pre>
 */
package io.github.dl4jlora.transformers;
