/**
 * Base networks in Keras's files, as DL4J imports them. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   StreamedKeras          needs nothing but DL4J; says which artifact is missing
 *        |
 *        v
 *   KerasFile              DL4J's importer, on HDF5: one layer at a time
 *        |
 *        v
 *   OneLayer               the file, as if it had the weights of one layer alone
 * </pre>
 *
 * <p>Both artifacts are optional: {@code deeplearning4j-modelimport}, and {@code hdf5} with the native library of the platform.
 * Keras files are not checked: DL4J's importer and HDF5 believe what a file says.
 */
@NullMarked
package io.github.dl4jlora.internal.keras;

import org.jspecify.annotations.NullMarked;
