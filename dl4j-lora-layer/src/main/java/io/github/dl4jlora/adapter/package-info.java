/*
 *   LoRAAdapter                   a value, and the entrance to what is done with it:
 *     |- Combination, Extraction  make an adapter: of several ones, of a network that was trained in full
 *     |- AdapterLoader            reads one from PEFT's files
 *     |- AdapterSaver             writes one to them
 *     `- NothingLearned           warns of one that changes nothing
 *
 * The computations lie below: internal.algebra (of A and B), internal.swap (networks), internal.peft (files).
 */

/**
 * Adapters by themselves, apart from any network: taken out and put in, measured, combined, and written to files from which
 * PEFT computes the same. The entrance is {@link io.github.dl4jlora.adapter.LoRAAdapter}.
 *
 * <p>Files are treated as hostile: a bad one is refused with an
 * {@link io.github.dl4jlora.exception.AdapterFormatException}.
 */
@NullMarked
package io.github.dl4jlora.adapter;

import org.jspecify.annotations.NullMarked;
