package io.github.dl4jlora.serve;

import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.nio.file.FileSystemException;

/** Why a request is not answered, in the form that OpenAI's clients read. */
final class Problem extends RuntimeException {

    private static final long serialVersionUID = 1L;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Seconds to wait before asking again, for the header of this name. */
    static final String RETRY_AFTER = "1";
    /** The code of a request that took too long. */
    static final String TIMEOUT = "timeout";

    /** Characters of a message, which may quote what a client sent. */
    private static final int LONGEST = 1_000;

    private final int status;
    private final String code;

    /**
     * @param status of HTTP
     * @param code   for programs; null for none
     */
    Problem(int status, String code, String message) {
        super(message == null || message.length() <= LONGEST ? message : message.substring(0, LONGEST) + "…");
        this.status = status;
        this.code = code;
    }

    static Problem badRequest(String message) {
        return new Problem(400, null, message);
    }

    static Problem unknownAdapter(String name) {
        return new Problem(404, "model_not_found", "There is no adapter \"" + name + "\". GET /v1/models lists the adapters");
    }

    static Problem tooLarge(String message) {
        return new Problem(413, null, message);
    }

    /** @param e the failure, such as of a full disk or a folder without write permission */
    static Problem cannotWrite(IOException e) {
        String reason = e instanceof FileSystemException file && file.getReason() != null ? file.getReason()
                : e instanceof FileSystemException ? e.getClass().getSimpleName() : e.getMessage();
        return new Problem(507, null, "The service cannot write to its folder of adapters: " + reason + ". Nothing was changed");
    }

    /** @param name of an adapter of which only some files could be replaced */
    static Problem halfWritten(String name) {
        return new Problem(507, null, "The service could not write all files of adapter \"" + name + "\", so that it was "
                + "replaced in part. Send it again");
    }

    static Problem tooSlow() {
        return new Problem(408, null, "The request took too long to arrive. Send less at a time, or have the service started "
                + "with "
                + "a longer --timeout or --read-timeout");
    }

    static Problem unavailable(String message) {
        return new Problem(503, null, message);
    }

    int status() {
        return status;
    }

    /** Whether the same request may be answered soon. One that took too long would take as long again. */
    boolean isPassing() {
        return status == 429 || status == 503 && !TIMEOUT.equals(code);
    }

    /** {@code {"error": {"message", "type", "param", "code"}}}. */
    String json() {
        ObjectNode error = JSON.createObjectNode();
        error.putObject("error").put("message", getMessage()).put("type", type(status)).putNull("param").put("code", code);
        return error.toString();
    }

    private static String type(int status) {
        return switch (status) {
            case 401 -> "authentication_error";
            case 403 -> "permission_error";
            case 429 -> "rate_limit_error";
            default -> status < 500 ? "invalid_request_error" : "server_error";
        };
    }
}
