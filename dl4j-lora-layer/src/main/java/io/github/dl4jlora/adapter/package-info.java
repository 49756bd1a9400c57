/**
 * Adapters as things of their own, apart from any network: taken out and put in, measured, combined, and written to files from
 * which PEFT computes the same.
 *
 * <pre>
 *   LoRAAdapter                   a value, and the door to what is done with it:
 *     |- Combination, Extraction  make an adapter: of several ones, of a network that was trained in full
 *     |- AdapterLoader            reads one from PEFT's files
 *     |- AdapterSaver             writes one to them
 *     `- NothingLearned           warns of one that changes nothing
 * </pre>
 *
 * Arrows point to what is known. What is computed lies below: {@code internal.algebra} (of A and B), {@code internal.swap}
 * (networks), {@code internal.peft} (files); they know what an adapter consists of, {@code internal.content}, and no
 * {@link io.github.dl4jlora.adapter.LoRAAdapter}. What is read from a file is hostile, and refused with an
 * {@link io.github.dl4jlora.exception.AdapterFormatException}.
 */
package io.github.dl4jlora.adapter;

