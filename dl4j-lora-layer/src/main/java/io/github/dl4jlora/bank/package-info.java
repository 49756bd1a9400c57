/*
 *   AdapterBank            the entrance: serves requests
 *     |- BankConfig        how it works; BankMetrics, what it tells of its work, called through SafeMetrics
 *     |- BankStatus        how much of everything it holds
 *     |- BankSession       a sequence, step by step
 *     |- BaseVerifier      verifies the base at intervals -> BaseStatus, what it found
 *     |- RequestQueue      submitted requests -> Pending, one with its answer; FairBatcher, who is computed next;
 *     |    |               BankOverloadedException where too many wait
 *     |    v
 *     |- AdapterCache      adapters by name -> UnknownAdapterException, where there is none
 *     |    |- AdapterSource    where they come from -> FolderSource, a folder of them
 *     |    `- ServableNames    names of a source that requests can ask for
 *     |
 *     `- BankRequest       inputs, and what is to compute them
 *          `- AdapterMix   a weighted sum of adapters
 *               `- AdapterName    the grammar of names
 *        |
 *        v
 *   internal.serve         what is computed, and by which networks
 *
 * Arrows and branches point to what is known.
 */

/**
 * Many adapters on one base, for inference by many threads at once. The entrance is
 * {@link io.github.dl4jlora.bank.AdapterBank}; {@link io.github.dl4jlora.bank.BankConfig} says how it works.
 */
@NullMarked
package io.github.dl4jlora.bank;

import org.jspecify.annotations.NullMarked;
