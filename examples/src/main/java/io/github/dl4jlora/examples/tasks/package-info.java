/**
 * Programs to copy. Each does one task, in one file that needs nothing else of this module but its data, and says in a few lines
 * what came of it. Files that it writes are in {@code target/tasks}.
 *
 * <pre>
 * mvn -q -pl examples -am compile exec:exec@task -Dtask=AdaptASavedNetwork
 *
 *   AdaptASavedNetwork                    from a saved network to an adapter, and to a stock network again
 *   GiveANewHead                          other classes than the base's
 *   GiveATransformerHeads                 classes of tokens, and answers
 *   AdaptAKerasModelsConvolutions         a model from a Keras file
 *   AdaptAnLstmWithMasks                  sequences of different lengths
 *   AdaptAGraphWithTwoInputsAndOutputs    layers by name, a head that trains in full
 *   DeclareALoRADenseLayer                in a configuration of one's own
 *   AdaptABaseInEightBits                 in memory, and in a mapped file
 *   SwapTwoAdapters                       two tasks, one network
 *   ServeManyAdapters                     many tasks at a time, for many threads
 *   ServeWithOnnxRuntime                  without DL4J, and without Java
 *   ExchangeFilesWithPeft                 with Python
 *   ReportOnATraining                     what a training tells
 * </pre>
 */
package io.github.dl4jlora.examples.tasks;
