/**
 * Weights of a base network by content: values, who refers to them, where they are found. Public classes here are no API
 * and may change without notice.
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
 * </pre>
 *
 * <p>Weights are lent by a base network or own, in no network's hands; the registry gives own ones first. {@code BaseFile}
 * fetches what lies at a location, {@code UriSecrets} keeps credentials in one from being shown. {@code MappedFile} gives weights
 * that lie in a file, each as a {@code MappedLayer} of its header says; {@code StoredWeights} is what that and other files say of
 * a layer, and {@code Signature} what its text means.
 *
 * <p>Knows of other rooms {@code internal.untrusted}, whose readers a base location needs, {@code internal.common}, and the
 * exception and the service interface in {@code frozen} that users see. Networks, layers and adapters are not known here.
 */
package io.github.dl4jlora.internal.base;
