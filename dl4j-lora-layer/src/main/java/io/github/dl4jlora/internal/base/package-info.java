/**
 * Weights of a base network by content: their values, references to them, and where they are found. Public classes here are no
 * API and may change without notice.
 *
 * <pre>
 *   layer configurations
 *          |
 *          v             1. bound already
 *   FrozenReference -----------------------------&gt; FrozenWeights ---&gt; BaseProbe
 *      id, signature     2. read before    +-----&gt;   id, signature,     a few values,
 *      in JSON           3. in this JVM    |         values             for a quick look
 *          |             4. read now       |            ^
 *          +---&gt; BaseLocation -------------+            | weakly
 *          |        BaseFile, Openers                   |
 *          +---&gt; FrozenWeightsRegistry -----------------+
 *
 *   Replacement        a configuration in a stock layer's place, which refers to frozen weights
 *   Storage            where the values of one layer are, and in what form:
 *     |- ArrayStorage      an array, as they are
 *     `- QuantizedStorage  matrices in fewer bits; LineReader: their columns one after the other
 *   StoredForm         what quantised weights were made of, and how
 *   StoredWeights      what a file says of one layer's weights; Signature: what its text means
 *   MappedFile         a frozen network in a file whose values are used where they lie
 *     `- MappedLayer       what its header says of one layer
 * </pre>
 *
 * <p>Weights are either lent by a base network, or own weights, which belong to no network; the registry gives own ones first.
 * {@code BaseFile} fetches what lies at a location, and {@code UriSecrets} keeps credentials in a location from being shown.
 * {@code MappedFile} gives weights that lie in a file.
 */
@NullMarked
package io.github.dl4jlora.internal.base;

import org.jspecify.annotations.NullMarked;
