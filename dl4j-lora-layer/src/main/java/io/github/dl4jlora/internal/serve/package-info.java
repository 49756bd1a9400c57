/**
 * Many adapters computed on copies of one network. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Loaders                threads that load the adapters of requests
 *     |
 *   Lease                  mixes, held as long as somebody computes with them
 *     |
 *   Passes                 inputs and mixes into outputs, in as few passes as possible -> Forward, one of them
 *     |- Masks             checks the shapes of masks
 *     |- MixedBatch        examples of several mixes in one batch
 *     |- RowOrders         whose rows are whose, where layers have several for an example
 *     |- NetworkPool       copies of networks, which callers take turns with
 *     |    v
 *     |- NetworkKinds      which networks the adapters need -> NetworkKind, what the copies of one have in common
 *     |    v
 *     |- ServedMix         adapters with weights
 *     |    `- ServedAdapter    an adapter's values in memory, freed when nobody holds it
 *     `- Features          inputs and their masks, by example
 *          v
 *   internal.swap          whether an adapter fits a network, and its values into it
 * </pre>
 *
 * <p>{@code bank} decides what adapters are called and which request is computed when; here names are in messages only.
 */
@NullMarked
package io.github.dl4jlora.internal.serve;

import org.jspecify.annotations.NullMarked;
