package io.github.dl4jlora.serve;

import io.github.dl4jlora.bank.BankConfig;

import java.time.Duration;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * The configuration of a service.
 *
 * @param host        name or address to listen on
 * @param port        0 for any that is free
 * @param token       which changes need; null if nothing can be changed
 * @param limits      of a request
 * @param verifyEvery how often the base is verified
 * @param bankOptions further options of the bank
 * @param allowedHosts further host names that it answers to: {@link Hosts}
 */
record ServiceConfig(String host, int port, String token, Limits limits, Duration verifyEvery,
                     UnaryOperator<BankConfig.Builder> bankOptions, List<String> allowedHosts) {

    /** With no further names. */
    ServiceConfig(String host, int port, String token, Limits limits, Duration verifyEvery,
                  UnaryOperator<BankConfig.Builder> bankOptions) {
        this(host, port, token, limits, verifyEvery, bankOptions, List.of());
    }

    BankConfig.Builder bank(BankConfig.Builder builder) {
        return bankOptions.apply(builder);
    }
}
