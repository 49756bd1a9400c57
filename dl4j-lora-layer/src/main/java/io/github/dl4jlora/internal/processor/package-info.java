/**
 * What is known of the machine, and of the native libraries that compute on it.
 *
 * <pre>
 *   ThreadConflict --- ThreadCounts      whether ND4J's loops and BLAS spin against each other; how many threads each has
 *   RestingTeam                          keeps OpenMP's threads from spinning, in a process that runs already
 *   MemoryBound                          has the collector run where the process has become large
 *   NativeLibraries --- CLibrary         what is loaded, the process's environment, OpenBLAS's words about itself
 *   FolderExchange  ----'                two folders change places in one step
 *   Processor                            name, vectors, clock, cores, as far as the system tells
 *   AnotherJvm                           a JVM as this one was started, with one thing changed
 * </pre>
 *
 * <p>Public classes here are no API and may change without notice.
 */
@NullMarked
package io.github.dl4jlora.internal.processor;

import org.jspecify.annotations.NullMarked;
