package io.github.dl4jlora.serve;

import io.javalin.http.Context;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** Allows changes of adapters to clients that know the token. Without a token nobody may change them. */
final class Access {

    private static final String SCHEME = "Bearer ";

    private final String token;

    /** @param token null for none */
    Access(String token) {
        this.token = token;
    }

    /** @throws Problem if it is not allowed */
    void require(Context request) {
        if (token == null) {
            throw new Problem(403, null, "This service was started without a token, so adapters cannot be changed. Start it with "
                    + "one, or change its folder and start it again");
        }
        String given = request.header("Authorization");
        if (given == null || !given.regionMatches(true, 0, SCHEME, 0, SCHEME.length())
                || !MessageDigest.isEqual(hash(given.substring(SCHEME.length()).strip()), hash(token))) {
            request.header("WWW-Authenticate", "Bearer");
            String what = given == null ? "Changes need the token" : "The token is wrong";
            throw new Problem(401, "invalid_api_key", what + ". Send it as Authorization: Bearer TOKEN");
        }
    }

    /** Makes the time of the comparison independent of the token, including its length. */
    private static byte[] hash(String text) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every JVM has SHA-256", e);
        }
    }
}
