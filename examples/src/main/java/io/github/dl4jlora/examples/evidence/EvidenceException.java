package io.github.dl4jlora.examples.evidence;

/** Something that the user has to mend before claims can be examined; the message says what. */
public final class EvidenceException extends RuntimeException {

    private static final long serialVersionUID = 1;

    /** What to mend. */
    public EvidenceException(String message, Throwable cause) {
        super(message, cause);
    }
}
