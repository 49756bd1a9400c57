/**
 * Many adapters on one base, for inference by many threads at once.
 *
 * <pre>
 *   AdapterBank             BankConfig, BankMetrics, BankStatus, BaseStatus: what it is told, and tells
 *     |
 *     |- AdapterMix         what a request asks for -> AdapterName, the grammar of names; ServableNames, those of a source
 *     |- RequestQueue       submitted BankRequests, in batches -> Turns, Pending; Features: what goes into a network
 *     |- BankSession        a sequence, step by step
 *     |    v
 *     |- Shelf              adapters by name -> AdapterSource, FolderSource; who has looked up holds a Lease
 *     |- Watch              the base, now and then
 *     v
 *   Passes                  what is computed in how many passes, a Forward each
 *     |- NetworkKinds       which networks the adapters need -> NetworkKind, what is known of all copies of one
 *     |- NetworkPool        copies that callers take turns with
 *     |- Masks              which masks the inputs ask for
 *     |- RowOrders          which rows are whose, where layers have several for an example
 *     `- MixedBatch         examples of several mixes at once -> ServedMix -> ServedAdapter, what a route holds
 *          v
 *   adapter, internal.swap  adapters as such, and whether one fits a base
 * </pre>
 *
 * Arrows point to what is known. Nothing else in the library knows of banks.
 */
package io.github.dl4jlora.bank;
