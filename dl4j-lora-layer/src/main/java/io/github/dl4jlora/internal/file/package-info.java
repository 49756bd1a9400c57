/**
 * Files of this library. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   LoRA.save, LoRA.load          adapter
 *            |                       |
 *            v                       v
 *       NetworkFile -----------&gt; AtomicFile
 *            |
 *            +---&gt; internal.base (frozen weights by id)
 *            +---&gt; internal.untrusted (reads what it wrote, or somebody else)
 * </pre>
 *
 * <p>{@code AtomicFile} has a file appear whole or not at all and knows nobody; {@code NetworkFile} is the format of a whole
 * network: DL4J's own zip with the frozen weights beside it.
 */
package io.github.dl4jlora.internal.file;
