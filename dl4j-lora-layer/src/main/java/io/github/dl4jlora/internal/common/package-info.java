/**
 * What any package may need of the system and of the language. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Temporary      files and folders that do not outlive the JVM, however it is ended
 *   FileIdentity   which file a path names at a moment, to notice that it was replaced
 *   Options        options that are given as a list
 *   Named          what messages call a layer
 *   NamePattern    regular expressions for names of layers
 *   UriSecrets     keeps credentials in a location from being shown
 *   Views          views of parts of arrays, where ND4J's own calls find nothing
 *   Divergence     why training ends in NaN, and what to do
 *   UpdaterKeys    names of this library's arrays in the state of an updater
 *   GuardedBy      which lock a field is read and written under
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.common;

import org.jspecify.annotations.NullMarked;
