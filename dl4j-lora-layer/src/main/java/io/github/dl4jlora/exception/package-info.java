/*
 *   AdapterFormatException            a file of an adapter that is damaged, of another kind, or that promises too much
 *   FrozenWeightsMissingException     a network whose frozen weights are nowhere to be found
 */

/**
 * Exceptions that are thrown besides Java's own.
 *
 * @serial exclude
 */
@NullMarked
package io.github.dl4jlora.exception;

import org.jspecify.annotations.NullMarked;
