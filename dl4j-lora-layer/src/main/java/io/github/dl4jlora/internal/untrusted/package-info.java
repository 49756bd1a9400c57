/**
 * Reads bytes that a stranger may have written: limits come first, memory and parsers after. Public classes here are no API and
 * may change without notice.
 *
 * <pre>
 *   UntrustedJson      JSON, before a parser makes objects of it, or instead
 *   UntrustedZip       zip files; ForeignFile: what else people take for one; Expansion: how much one may promise
 *   SpooledZip         the files of a zipped stream, kept for as long as they are read
 *   SteadyFiles        files of a folder as they were at one moment
 *   Safetensors        PyTorch's tensors, read and written; SafetensorsHeader: what and where they are
 *   RawValues          plain little-endian values; StoredType: of which type
 *   Budget             how much work the reading of one file may take
 *   Few                some of many names in a message
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.untrusted;

import org.jspecify.annotations.NullMarked;
