/**
 * The inside of {@link io.github.dl4jlora.transformers.Checkpoint}: folders in Hugging Face's format, which a stranger may have
 * written. Public classes here are no API and may change without notice.
 *
 * <pre>
 *                    Checkpoint
 *                     |      |
 *        CheckpointFolder &lt;- CheckpointWriter -&gt; Architectures      classes of transformers, by name
 *          |       |   |         |
 *          |       |   StoredModel -&gt; KeptRandom                    the values of one graph
 *          |       |   |         |
 *          |       |   |   layer.ModuleNames                        what PyTorch calls a parameter, and how it lies
 *          |       |  LayerSettings                               heads, padding, epsilon, activation: what no tensor tells
 *          |       TensorNames                                      which names a tensor may have; what is left over
 *          |       |
 *    CheckpointConfig  TensorFiles                                  config.json; model.safetensors, or shards of it
 *              |         |
 *              |         |  SentenceModules                         modules.json of sentence-transformers, for CheckpointFolder
 *              |         |  SentenceSettings                        and, by SentenceNetwork and SentenceFiles, for the writer
 *              |         |   |
 *              |         |  TokenizerConfig                         what transformers sets over tokenizer.json
 *              |         |  TokenizerPadding                        which id its tokenizer pads with
 *              |         |   |
 *              ConfigFile                                           JSON, with messages that name file, key and value
 * </pre>
 *
 * <p>Sizes come first: {@code CheckpointFolder.open} compares what config.json claims with the shapes in the files, and
 * {@code StoredModel.of} those of a graph, before a network of that size is made.
 */
package io.github.dl4jlora.transformers.checkpoint;
