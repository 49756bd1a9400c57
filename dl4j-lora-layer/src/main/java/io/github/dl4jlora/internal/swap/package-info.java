/**
 * Adapters into networks and out of them. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Capture              an AdapterContent out of a network
 *     `- CapturedValues  what was trained without A and B
 *   FittingConfig        the configuration of a network for an AdapterContent
 *   Swap                 an AdapterContent into a network in place of the one it has; or compared with a network that computes
 *     |                  it by routes
 *     |- TrainedValues   what was trained without A and B, by PyTorch's names
 *     |- FitChecks       names, shapes and values
 *     `- Starts          A0 and B0 that were taken from W
 * </pre>
 */
@NullMarked
package io.github.dl4jlora.internal.swap;

import org.jspecify.annotations.NullMarked;
