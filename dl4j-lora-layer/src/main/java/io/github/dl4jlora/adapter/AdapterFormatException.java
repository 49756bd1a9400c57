package io.github.dl4jlora.adapter;

import java.io.IOException;

/** A file that is no adapter, or a broken one. Nothing has been read into any network. */
public class AdapterFormatException extends IOException {

    private static final long serialVersionUID = 1L;

    public AdapterFormatException(String message) {
        super(message);
    }

    public AdapterFormatException(String message, Throwable cause) {
        super(message, cause);
    }
}
