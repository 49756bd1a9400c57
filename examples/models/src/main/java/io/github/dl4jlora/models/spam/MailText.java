package io.github.dl4jlora.models.spam;

import java.io.ByteArrayOutputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a reader sees of an e-mail: its subject and its text. Every other header is dropped, since servers, lists and
 * filters on the way have written into them what they took the mail for; so are tags in brackets, with which mailing
 * lists mark subjects.
 *
 * <p>Of MIME (RFC 2045, 2047) it knows what such mails use: multipart, base64, quoted-printable, encoded subjects, HTML.
 */
final class MailText {

    /** More than any encoder here reads. */
    private static final int LONGEST = 8000;
    private static final int DEEPEST = 5;
    private static final Charset FALLBACK = Charset.forName("windows-1252");

    private static final Pattern HEAD_END = Pattern.compile("\\r?\\n\\r?\\n");
    private static final Pattern FOLDED = Pattern.compile("\\r?\\n[ \\t]+");
    private static final String WORD = "=\\?([^?]+)\\?([BbQq])\\?([^?]*)\\?=";
    /** White space counts, except between two encoded words (RFC 2047, 6.2). */
    private static final Pattern ENCODED_WORD = Pattern.compile(WORD + "(?:\\s+(?=" + WORD + "))?");
    private static final Pattern BRACKETS = Pattern.compile("\\[[^\\]]{1,40}\\]");
    /** What the makers of the SpamAssassin corpus wrote in place of addresses; most of it in ham. */
    private static final Pattern ANONYMISED = Pattern.compile("(?i)\\S*(spamassassin\\.taint\\.org|netnoteinc\\.com)\\S*");
    private static final Pattern INVISIBLE = Pattern.compile("(?is)<!--.*?-->|<(script|style|head)\\b.*?</\\1>");
    private static final Pattern TAG = Pattern.compile("(?s)<[a-zA-Z/!?][^>]*>");
    private static final Pattern NUMBERED = Pattern.compile("&#(\\d{1,6});");
    private static final Map<String, String> ENTITIES = new LinkedHashMap<>();

    static {
        ENTITIES.put("&nbsp;", " ");
        ENTITIES.put("&lt;", "<");
        ENTITIES.put("&gt;", ">");
        ENTITIES.put("&quot;", "\"");
        // Last, so that what it uncovers stays text.
        ENTITIES.put("&amp;", "&");
    }

    private MailText() {
    }

    /**
     * @param mail as it was sent, a byte a character (ISO 8859-1)
     * @return subject and text, with single spaces between words
     */
    static String of(String mail) {
        Part part = Part.of(mail.startsWith("From ") ? mail.substring(mail.indexOf('\n') + 1) : mail);
        String subject = BRACKETS.matcher(decodeWords(part.header("subject"))).replaceAll(" ");
        String text = subject + "\n" + text(part, DEEPEST);
        String spaced = ANONYMISED.matcher(text).replaceAll(" ").replaceAll("\\s+", " ").strip();
        return spaced.substring(0, Math.min(LONGEST, spaced.length()));
    }

    /** A piece of MIME: headers by lower-case name, and a body. */
    private record Part(Map<String, String> headers, String body) {

        static Part of(String raw) {
            Matcher end = HEAD_END.matcher(raw);
            boolean found = end.find();
            String head = found ? raw.substring(0, end.start()) : raw;
            Map<String, String> headers = new HashMap<>();
            for (String line : FOLDED.matcher(head).replaceAll(" ").split("\\r?\\n")) {
                int colon = line.indexOf(':');
                if (colon > 0) {
                    headers.putIfAbsent(line.substring(0, colon).strip().toLowerCase(Locale.ROOT),
                            line.substring(colon + 1).strip());
                }
            }
            return new Part(headers, found ? raw.substring(end.end()) : "");
        }

        String header(String name) {
            return headers.getOrDefault(name, "");
        }

        boolean is(String type) {
            return header("content-type").toLowerCase(Locale.ROOT).startsWith(type);
        }

        /** A parameter of the content type; empty if it has none. */
        String parameter(String name) {
            Matcher matcher = Pattern.compile("(?i)\\b" + name + "\\s*=\\s*(?:\"([^\"]*)\"|([^\\s;]+))")
                    .matcher(header("content-type"));
            return !matcher.find() ? "" : matcher.group(1) != null ? matcher.group(1) : matcher.group(2);
        }
    }

    private static String text(Part part, int depth) {
        if (part.is("multipart/") && depth > 0 && !part.parameter("boundary").isEmpty()) {
            return textOfParts(part, depth);
        }
        if (!part.header("content-type").isEmpty() && !part.is("text")) {
            return "";
        }
        String decoded = decode(part);
        return part.is("text/html") ? withoutTags(decoded) : decoded;
    }

    /** The longest of the parts: of alternatives they are alike, and an attachment is not text. */
    private static String textOfParts(Part part, int depth) {
        String longest = "";
        String[] pieces = part.body().split(Pattern.quote("--" + part.parameter("boundary")));
        for (int i = 1; i < pieces.length; i++) {
            if (!pieces[i].startsWith("--")) {
                String text = text(Part.of(pieces[i].stripLeading()), depth - 1);
                longest = text.strip().length() > longest.strip().length() ? text : longest;
            }
        }
        return longest;
    }

    private static String decode(Part part) {
        byte[] bytes = switch (part.header("content-transfer-encoding").toLowerCase(Locale.ROOT)) {
            case "base64" -> base64(part.body());
            case "quoted-printable" -> quotedPrintable(part.body());
            default -> part.body().getBytes(StandardCharsets.ISO_8859_1);
        };
        return new String(bytes, charset(part.parameter("charset")));
    }

    private static Charset charset(String name) {
        try {
            return name.isEmpty() || name.equalsIgnoreCase("us-ascii") ? FALLBACK : Charset.forName(name);
        } catch (IllegalArgumentException unknown) {
            return FALLBACK;
        }
    }

    private static byte[] base64(String text) {
        String digits = text.replaceAll("[^A-Za-z0-9+/]", "");
        // A cut mail ends anywhere; a single digit left over is no byte.
        return Base64.getDecoder().decode(digits.length() % 4 == 1 ? digits.substring(0, digits.length() - 1) : digits);
    }

    private static byte[] quotedPrintable(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            int value = c == '=' && i + 2 < text.length() ? hex(text, i + 1) : -1;
            if (value >= 0) {
                bytes.write(value);
                i += 2;
            } else if (c == '=' && text.startsWith("\n", i + 1)) {
                i += 1;
            } else if (c == '=' && text.startsWith("\r\n", i + 1)) {
                i += 2;
            } else {
                bytes.write(c);
            }
        }
        return bytes.toByteArray();
    }

    /** The byte that two hexadecimal digits stand for; -1 if they are none. */
    private static int hex(String text, int at) {
        int high = Character.digit(text.charAt(at), 16);
        int low = Character.digit(text.charAt(at + 1), 16);
        return high < 0 || low < 0 ? -1 : 16 * high + low;
    }

    private static String decodeWords(String header) {
        return ENCODED_WORD.matcher(header).replaceAll(word -> {
            byte[] bytes = word.group(2).equalsIgnoreCase("B") ? base64(word.group(3))
                    : quotedPrintable(word.group(3).replace('_', ' '));
            return Matcher.quoteReplacement(new String(bytes, charset(word.group(1))));
        });
    }

    private static String withoutTags(String html) {
        String text = TAG.matcher(INVISIBLE.matcher(html).replaceAll(" ")).replaceAll(" ");
        text = NUMBERED.matcher(text).replaceAll(number -> {
            int code = Integer.parseInt(number.group(1));
            return Matcher.quoteReplacement(Character.isValidCodePoint(code) ? Character.toString(code) : " ");
        });
        for (Map.Entry<String, String> entity : ENTITIES.entrySet()) {
            text = text.replace(entity.getKey(), entity.getValue());
        }
        return text;
    }
}
