/**
 * Many adapters on one base, for inference by many threads at once.
 *
 * <pre>
 *   AdapterBank             requests ask for an AdapterMix
 *     |- NetworkKinds       which networks its adapters need -> NetworkKind, what is known of all copies of one
 *     |- NetworkPool        copies that callers take turns with
 *     |- RowOrders          which rows are whose, where layers have several for an example
 *     `- MixedBatch         examples of several mixes at once -> ServedMix -> ServedAdapter, what a route holds
 *          v
 *   adapter, internal.swap  adapters as such, and whether one fits a base
 * </pre>
 *
 * Arrows point to what is known. Nothing else in the library knows of banks.
 */
package io.github.dl4jlora.bank;
