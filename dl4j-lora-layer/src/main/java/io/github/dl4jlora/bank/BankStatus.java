package io.github.dl4jlora.bank;

/**
 * How much of everything an {@link AdapterBank} has at a moment.
 *
 * @param networks      copies of the network, which share its weights
 * @param waiting       callers that wait for a network
 * @param queued        examples of submitted requests that wait
 * @param adapters      adapters in memory
 * @param adapterBytes  of their values
 * @param evictable     of these bytes, those of adapters that came from a source and can come again
 */
public record BankStatus(int networks, int waiting, long queued, int adapters, long adapterBytes, long evictable) {
}
