/**
 * Adapters as PEFT's files, and what of an adapter a file holds. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   PeftWriter, PeftReader       an AdapterContent to a folder, and back
 *     |     |
 *     |     |- names             TensorIndex -> ExtraPart, DottedNames
 *     |     |- settings          PeftConfig -> PeftConfigJson, ModulePatterns, LoraAlpha
 *     |     |- values            DeltaReader
 *     |     |- origin            Provenance, PluginVersion
 *     |     `- bytes             internal.untrusted: Safetensors, SteadyFiles, UntrustedJson; internal.file: AtomicFile
 *     v
 *   AdapterContent
 *     |- Delta                   one adapted matrix, with its Kind and TensorLayout
 *     |- Biases                  trained biases of other layers
 *     `- TorchLayout             layers that were trained in full, as PyTorch has them
 * </pre>
 *
 * Arrows point to what is known. No room but {@code adapter} knows this one, and no network is known here. What is read is
 * hostile until it has been compared with what it can be; what is refused is an
 * {@link io.github.dl4jlora.exception.AdapterFormatException}.
 */
package io.github.dl4jlora.internal.peft;
