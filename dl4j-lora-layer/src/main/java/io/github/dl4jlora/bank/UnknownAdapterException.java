package io.github.dl4jlora.bank;

/** A bank has no adapter of the name that a request asked for. */
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
