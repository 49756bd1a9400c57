package io.github.dl4jlora.internal.common;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.net.URI;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Keeps credentials that are part of a URI, before an {@code @} or in a query, out of everything that others read:
 * configurations, messages, logs.
 */
public final class UriSecrets {

    /** User info with a password, or for the web, where it may be a token; Azure's {@code abfss://container@account} has none. */
    private static final Pattern USER_INFO = Pattern.compile(
            "^((?:[\\w+.-]+:)*(?:https?|ftps?)://(?=[^/?#]*@)|(?:[\\w+.-]+:)*//(?=[^/?#]*:[^/?#]*@))([^/?#]*)@",
            Pattern.CASE_INSENSITIVE);
    private static final Pattern QUERY = Pattern.compile("\\?([^#]*)");
    /** Shorter texts are no secrets, but parts of words. */
    private static final int SHORTEST = 4;

    private UriSecrets() {
    }

    /** {@return whether a URI has user info or a query that may be a secret} */
    public static boolean mayBeIn(URI uri) {
        return USER_INFO.matcher(uri.toString()).find() || QUERY.matcher(uri.toString()).find();
    }

    /** {@return the URI for people: what may be a secret is left out} */
    public static String shown(URI uri) {
        return QUERY.matcher(USER_INFO.matcher(uri.toString()).replaceFirst("$1…@")).replaceFirst("?…");
    }

    /** {@return the URI without user info and query} */
    public static URI without(URI uri) {
        return URI.create(QUERY.matcher(USER_INFO.matcher(uri.toString()).replaceFirst("$1")).replaceFirst(""));
    }

    /** {@return an exception that may be shown: without the URI's secrets, if the given one quotes them} */
    public static IOException redacted(Exception e, URI uri) {
        List<String> secrets = secrets(uri);
        if (!quotes(e, secrets)) {
            return e instanceof IOException io ? io : new IOException(e.toString(), e);
        }
        String told = e instanceof IOException && e.getMessage() != null ? e.getMessage() : e.toString();
        IOException redacted = new IOException(redacted(told, secrets));
        redacted.setStackTrace(e.getStackTrace());
        return redacted;
    }

    private static boolean quotes(@Nullable Throwable thrown, List<String> secrets) {
        return thrown != null && (secrets.stream().anyMatch(thrown.toString()::contains) || quotes(thrown.getCause(), secrets)
                || Stream.of(thrown.getSuppressed()).anyMatch(other -> quotes(other, secrets)));
    }

    private static String redacted(String text, List<String> secrets) {
        String redacted = text;
        for (String secret : secrets) {
            redacted = redacted.replace(secret, "…");
        }
        return redacted;
    }

    /** A URI's secrets, whole and in parts, escaped and not, the longest first. */
    private static List<String> secrets(URI uri) {
        return Stream.of(uri.toString(), uri.getScheme() + ":" + uri.getSchemeSpecificPart())
                .flatMap(text -> Stream.concat(USER_INFO.matcher(text).results().map(found -> found.group(2)),
                        QUERY.matcher(text).results().map(found -> found.group(1))))
                .flatMap(text -> Stream.concat(Stream.of(text), Stream.of(text.split("[:&]"))))
                .flatMap(text -> Stream.of(text, text.substring(text.indexOf('=') + 1)))
                .filter(text -> text.length() >= SHORTEST).distinct()
                .sorted(Comparator.comparing(String::length).reversed()).toList();
    }
}
