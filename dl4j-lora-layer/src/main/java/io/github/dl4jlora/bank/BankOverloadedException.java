package io.github.dl4jlora.bank;

import java.util.concurrent.RejectedExecutionException;

/** A request was refused because too many examples are waiting: {@link BankConfig.Builder#maxQueued}. Ask again later. */
public final class BankOverloadedException extends RejectedExecutionException {

    private static final long serialVersionUID = 1L;

    BankOverloadedException(String message) {
        super(message);
    }
}
