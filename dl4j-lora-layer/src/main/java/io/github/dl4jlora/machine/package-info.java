/*
 *   Threads          settles once how many threads BLAS and ND4J have
 *   Doctor           looks at the machine and at this JVM, and tells what to change
 *     |- Diagnosis     each finding and its sentence
 *     `- StepProbe     measures a training step, in a JVM of its own where that is needed
 */

/**
 * What makes training slow on this machine, and the remedy. Call {@link io.github.dl4jlora.machine.Threads#settle} first, and
 * ask {@link io.github.dl4jlora.machine.Doctor} for the rest.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.machine;

import org.jspecify.annotations.NullMarked;
