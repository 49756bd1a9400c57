/**
 * Adapters into networks. Public classes here are no API and may change without notice.
 *
 * <pre>
 *   Swap             an AdapterContent into a network in place of the one it has, or checked against networks that compute it by
 *     |              routes
 *   TrainedValues    its layers in full and its biases, by PyTorch's names
 * </pre>
 *
 * Known to {@code adapter} and {@code bank}; it knows both what adapters consist of, {@code internal.peft}, and adapted networks,
 * {@code internal.rewrite}.
 */
package io.github.dl4jlora.internal.swap;
