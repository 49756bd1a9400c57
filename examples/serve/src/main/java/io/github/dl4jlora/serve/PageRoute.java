package io.github.dl4jlora.serve;

import io.github.dl4jlora.report.page.AdapterReport;
import io.javalin.http.Context;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;

/** A page that shows the service, in the style of the reports. A browser runs only the page's own script in it. */
final class PageRoute {

    private final byte[] page;
    private final String policy;

    PageRoute() {
        String html = resource("page.html").replace("/*report.css*/", AdapterReport.style());
        page = html.getBytes(StandardCharsets.UTF_8);
        policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                + "frame-ancestors 'none'; style-src " + hash(html, "style") + "; script-src " + hash(html, "script");
    }

    /** A file beside this class. */
    static String resource(String name) {
        try (InputStream file = PageRoute.class.getResourceAsStream(name)) {
            return new String(file.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(name + " cannot be read", e);
        }
    }

    private static String hash(String html, String element) {
        String open = "<" + element + ">";
        String content = html.substring(html.indexOf(open) + open.length(), html.indexOf("</" + element + ">"));
        try {
            return "'sha256-" + Base64.getEncoder().encodeToString(MessageDigest.getInstance("SHA-256")
                    .digest(content.getBytes(StandardCharsets.UTF_8))) + "'";
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every JVM has SHA-256", e);
        }
    }

    void answer(Context request) {
        request.header("Content-Security-Policy", policy).header("Referrer-Policy", "no-referrer")
                .header("Cache-Control", "no-store").contentType("text/html; charset=utf-8").result(page);
    }
}
