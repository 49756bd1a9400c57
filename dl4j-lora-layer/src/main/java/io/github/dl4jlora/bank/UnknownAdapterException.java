package io.github.dl4jlora.bank;

/** A request asked a bank for an adapter that it does not have. */
public final class UnknownAdapterException extends IllegalArgumentException {

    private static final long serialVersionUID = 1L;

    /** The name that no adapter has. */
    private final String adapter;

    UnknownAdapterException(String adapter, String message) {
        super(message);
        this.adapter = adapter;
    }

    /** {@return the name that no adapter has} */
    public String getAdapter() {
        return adapter;
    }
}
