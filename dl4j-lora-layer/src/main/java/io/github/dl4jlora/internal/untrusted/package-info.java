/**
 * Whatever reads bytes that a stranger may have written: limits come first, memory and parsers after. Public classes here
 * are no API and may change without notice.
 *
 * <pre>
 *   internal.keras  internal.file     internal.base        internal.peft
 *        |  |            |              |       |             |      |
 *        |  |            |      +-------+       |             |      |
 *        |  |            |      v               v             v      v
 *        |  |            | StreamedModel    RawValues  UntrustedJson Safetensors
 *        |  |            v   |    |             ^            ^           |
 *        |  |           ModelZip  +-> ValuesElsewhere         |           +-> SafetensorsHeader, Numbers
 *        |  v            |   |                  |            |
 *        | Assembly &lt;----|- StoredConfiguration-|------------+
 *        |               v                      |
 *        |          StoredVector ---------------+
 *        +-&gt; ValuesElsewhere
 * </pre>
 *
 * <p>{@code ModelZip} reads what DL4J's ModelSerializer wrote, {@code StoredConfiguration} the configuration in it or elsewhere,
 * whose layers {@code ConfiguredLayers} counts first, {@code StoredVector} the long arrays in it, {@code StoredNormalizer} the
 * normalizer, both by {@code StoredArray}. {@code UntrustedZip} opens zip files, and {@code ForeignFile} knows what else people
 * take for one.
 *
 * <p>{@code RawValues} reads plain little-endian values, {@code Safetensors} PyTorch's tensors,
 * which it writes too. {@code StreamedModel} is a {@code StreamedBase}: a network layer by layer, and beside it one of the same
 * shapes whose values are {@code ValuesElsewhere}, as those of a mapped file are. {@code Assembly} makes networks of
 * configurations, {@code Expansion} bounds what a zip file may promise, {@code UntrustedJson} looks at JSON before a parser makes
 * objects of it, and {@code Few} names some of many in a message. {@code SpooledZip} keeps the files of a stream for as long as
 * they are read, and {@code SteadyFiles} are files of a folder as they were at one moment, which {@code internal.peft} reads
 * adapters from. Knows no other room but {@code internal.common}.
 */
package io.github.dl4jlora.internal.untrusted;
