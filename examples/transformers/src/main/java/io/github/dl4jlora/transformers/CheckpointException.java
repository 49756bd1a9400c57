package io.github.dl4jlora.transformers;

import java.io.IOException;

/**
 * A folder that is no checkpoint, is damaged, or asks for what is not supported. The message names the file, and what to do. No
 * network was made of it.
 */
public class CheckpointException extends IOException {

    private static final long serialVersionUID = 1L;

    /**
     * A refusal with no further cause.
     *
     * @param message what was found where, and what was expected
     */
    public CheckpointException(String message) {
        super(message);
    }

    /**
     * A refusal with its cause.
     *
     * @param message what was found where, and what was expected
     * @param cause   the failure to read the file's text or bytes
     */
    public CheckpointException(String message, Throwable cause) {
        super(message, cause);
    }
}
