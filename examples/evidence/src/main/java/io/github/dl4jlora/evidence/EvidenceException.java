package io.github.dl4jlora.evidence;

/** A problem that the user has to fix before claims can be examined; the message says how. */
public final class EvidenceException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** The message says what to fix. */
    public EvidenceException(String message, Throwable cause) {
        super(message, cause);
    }
}
