/**
 * Makes stock networks of adapted ones again. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Unadaptation          the entrance: merge, of some layers too; unload; what a merge would do
 *      |      |
 *      |      v
 *      |   PartialMerge   some layers merged and frozen, the others adapted as they are
 *      |      |
 *      |      |   MergedValues   the stock layers one after the other, for whoever writes them to a file
 *      v      v      v
 *     MergedLayer         what merging makes of one layer, and what rounding takes of it
 * </pre>
 *
 * <p>Verifies the base and refuses before it builds anything.
 */
@NullMarked
package io.github.dl4jlora.internal.undo;

import org.jspecify.annotations.NullMarked;
