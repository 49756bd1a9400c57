package io.github.dl4jlora.exception;

import java.io.IOException;

/** A file that is no adapter, or a broken one. Nothing has been read into any network. */
public class AdapterFormatException extends IOException {

    private static final long serialVersionUID = 1L;

    /**
     * A refusal with no further cause.
     *
     * @param message what was found where, and what was expected
     */
    public AdapterFormatException(String message) {
        super(message);
    }

    /**
     * A refusal with its cause.
     *
     * @param message what was found where, and what was expected
     * @param cause   the failure to read the file's text or bytes
     */
    public AdapterFormatException(String message, Throwable cause) {
        super(message, cause);
    }
}
