package io.github.dl4jlora.bank;

/** A bank has no adapter of the name that a request asked for. */
public final class UnknownAdapterException extends IllegalArgumentException {

    private static final long serialVersionUID = 1L;

    UnknownAdapterException(String message) {
        super(message);
    }
}
