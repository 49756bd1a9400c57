/**
 * Looks into networks, and switches at run time what adapters do. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Scales            what low-rank paths are multiplied by
 *      |
 *      v
 *   AdaptedView       the trained parts of an adapted network, live; what its layers stand on
 *      |
 *      v
 *   DisabledScopes    which networks have their adapters disabled, and where the trained layers' own values are meanwhile
 *
 *   AdapterState      whether adapters have changed since the last look
 *   Packs             whether products use packed copies
 *   Summaries         what each layer is, and what trains of it
 *   Changes           what training in full changed, layer by layer
 *   BaseMatrices      the weights of a stock network that can be adapted
 *   ChanceLoss        the loss of a classifier that knows nothing
 * </pre>
 *
 * <p>Builds nothing.
 */
@NullMarked
package io.github.dl4jlora.internal.inspect;

import org.jspecify.annotations.NullMarked;
