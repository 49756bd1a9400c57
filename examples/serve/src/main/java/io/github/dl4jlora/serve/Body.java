package io.github.dl4jlora.serve;

import io.javalin.http.Context;

import java.util.Locale;

/** What a request's head says about its body. */
final class Body {

    static final String JSON = "application/json";
    static final String SAFETENSORS = "application/safetensors";
    static final String ZIP = "application/zip";
    static final String MULTIPART = "multipart/form-data";

    private Body() {
    }

    /** The body's type without parameters, in lower case; empty if the request names none. */
    static String type(Context request) {
        String type = request.contentType();
        return type == null ? "" : type.split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
    }

    /** The problem of a type that is not read here. */
    static Problem unknownType(Context request, String expected) {
        String type = type(request);
        String what = type.isEmpty() ? "The request names no Content-Type" : "The Content-Type is \"" + type + "\"";
        return new Problem(415, null, what + ". Send " + expected);
    }

    /** @throws Problem 413 if the head says that there are more bytes, 415 if they are compressed, or JSON in other characters */
    static void requireFitting(Context request, long most) {
        String encoding = request.header("Content-Encoding");
        if (encoding != null && !encoding.equalsIgnoreCase("identity")) {
            throw new Problem(415, null, "The Content-Encoding is \"" + encoding + "\", but compressed bodies are not read. "
                    + "Send it uncompressed");
        }
        String charset = request.req().getCharacterEncoding();
        if (type(request).equals(JSON) && charset != null && !charset.equalsIgnoreCase("utf-8")) {
            throw new Problem(415, null, "The charset is \"" + charset + "\", but JSON is read as UTF-8. Send it so");
        }
        if (request.req().getContentLengthLong() > most) {
            throw tooLarge(request.req().getContentLengthLong() + " bytes", most);
        }
    }

    static Problem tooLarge(String size, long most) {
        return Problem.tooLarge("The body has " + size + ", but may have " + most + ". Send less at a time, or have the service "
                + "started with a larger limit");
    }
}
