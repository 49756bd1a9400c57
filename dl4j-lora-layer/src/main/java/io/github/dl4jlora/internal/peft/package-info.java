/**
 * Adapters as PEFT's files. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   PeftWriter, PeftReader     an AdapterContent to a folder, and back
 *     |
 *     |- folder                PeftFolder: which files it has
 *     |- settings              PeftConfig, PeftConfigJson -> KindNames, LoraAlpha, ModulePatterns, TargetModules -> PythonPattern
 *     |- names                 TensorIndex -> TensorNames -> TensorName, SavedModules
 *     |- values                DeltaReader -> ExtraPart
 *     |- what PEFT cannot say  PeftForm, Provenance -> PluginVersion
 *     v
 *   internal.content           what an adapter consists of
 *   internal.untrusted         Safetensors, SteadyFiles, UntrustedJson, Budget
 *   internal.file              AtomicFile
 * </pre>
 *
 * Arrows point to what is known. What is read is hostile until it has been compared with what it can be, and is otherwise
 * refused by an {@link io.github.dl4jlora.exception.AdapterFormatException}.
 */
@NullMarked
package io.github.dl4jlora.internal.peft;

import org.jspecify.annotations.NullMarked;
