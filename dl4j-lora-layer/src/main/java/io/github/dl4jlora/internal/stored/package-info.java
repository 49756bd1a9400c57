/**
 * Networks in files that a stranger may have written: limits come first, memory and parsers after. Public classes here are no API
 * and may change without notice.
 *
 * <pre>
 *   ModelZip                     what DL4J's ModelSerializer wrote
 *     |- StoredConfiguration       the configuration in it
 *     |    |- ConfiguredLayers       how many layers it has, before DL4J parses it
 *     |    `- Assembly               a network of it, if it is not too large
 *     |- StoredVector              parameters and updater state, a StoredArray each
 *     `- StoredNormalizer          the normalizer
 *   StreamedBase                 a network read layer by layer, whose values are never in memory all at once
 *     `- StreamedModel             one in a file that ModelSerializer wrote
 *   StoredArray                  an array as Nd4j.write writes it
 *   ValuesElsewhere              a network of the same shapes whose values are elsewhere, as those of a mapped file
 * </pre>
 *
 * <p>{@code internal.untrusted} reads the bytes.
 */
@NullMarked
package io.github.dl4jlora.internal.stored;

import org.jspecify.annotations.NullMarked;
