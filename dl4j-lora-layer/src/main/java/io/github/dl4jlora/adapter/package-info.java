/**
 * Adapters as things of their own, apart from any network: taken out and put in, measured, combined, served, and written
 * to files from which PEFT computes the same.
 *
 * <pre>
 *   AdapterBank             many adapters on one base
 *     |  `- NetworkPool     networks that callers take turns with
 *     |  `- MixedBatch      rows of several adapters at once
 *     v
 *   LoRAAdapter             a value, and the door to what is done with it:
 *     |
 *     |- networks           Capture (out of one), Swap (into one), FittingConfig (for a new one)
 *     |- geometry           Geometry  -> SlimSvd, InnerProduct
 *     |- combination        Combination -> LayerCombination -> SlimSvd, TaskVectors
 *     `- files              PeftWriter, PeftReader -> DeltaReader
 *     |     |- names        TensorIndex -> ExtraPart, DottedNames
 *     |     |- settings     PeftConfig -> PeftConfigJson, ModulePatterns, LoraAlpha
 *     |     |- origin       Provenance
 *     |     `- bytes        Safetensors -> SafetensorsHeader, Numbers
 *     v
 *   Delta                   one adapted layer, with its Kind and TensorLayout; beside it Biases, TorchLayout
 * </pre>
 *
 * Arrows point to what is known. Geometry, combination and files do not know of each other, and none of them of a bank;
 * files know no networks. What reads them treats its bytes as hostile and refuses with an {@link AdapterFormatException}.
 */
package io.github.dl4jlora.adapter;
