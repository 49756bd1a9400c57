package io.github.dl4jlora.bank;

/**
 * What an {@link AdapterBank} holds and how many wait for it at one moment.
 *
 * <pre>{@code
 * BankStatus status = bank.status();
 * System.out.println(status.adapters() + " adapters in " + status.adapterBytes() + " bytes, " + status.queued() + " wait");
 * }</pre>
 *
 * @param networks     copies of the network, which share its weights
 * @param waiting      callers that wait for a network
 * @param queued       examples of submitted requests that wait
 * @param adapters     adapters in memory
 * @param adapterBytes bytes of their values
 * @param evictable    those of these bytes whose adapters came from a source and can be loaded again
 */
public record BankStatus(int networks, int waiting, long queued, int adapters, long adapterBytes, long evictable) {
}
