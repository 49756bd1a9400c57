package io.github.dl4jlora.bank;

import org.jspecify.annotations.Nullable;

import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The names that adapters may have: one grammar for banks, mixes, folders and services.
 *
 * <pre>
 *   name   first { letter | mark | digit | _ | - | . | @ | = | , | ( | ) | space }
 *   first  letter | digit | _
 *   mix    __base__ | share { " + " share }
 *   share  name [ ":" weight ]
 *   weight [ + | - ] ( digits [ . [ digits ] ] | . digits ) [ ( e | E ) [ + | - ] digits ]
 * </pre>
 *
 * Letters, marks and digits of names are Unicode's, of any script; those of weights are ASCII's. Further rules keep a name the
 * name of one folder, on Linux, macOS and Windows, and of nothing else:
 * <ul>
 * <li>It takes at most {@value #MAX_BYTES} bytes in UTF-8, so that file systems have room for what is written beside it.
 * <li>It does not end with a space or a dot, which Windows drops.
 * <li>It does not end with {@code .tmp}, in any case, as what is left of an interrupted save does.
 * <li>It is in Unicode's form NFC. Other forms of a name look the same, and are other folders.
 * <li>It is not {@code __base__}, in any case: that asks for the base without any adapter.
 * <li>What stands before its first dot is no device of Windows: CON, PRN, AUX, NUL, COM0 to COM9, LPT0 to LPT9, in any case.
 * </ul>
 *
 * Upper and lower case differ. A name may look like a number ({@code 1}, {@code 0.5}, {@code 1e3}): a weight stands after a
 * colon, and no name has a colon, so {@code 0.5:2} is the adapter "0.5" with the weight 2.
 *
 * <pre>{@code
 * AdapterName.defect(name).ifPresent(System.out::println);    // what is wrong with it
 * bank.add(AdapterName.require(name), adapter);               // or throws
 * }</pre>
 */
public final class AdapterName {

    /** The most bytes that a name takes in UTF-8. */
    public static final int MAX_BYTES = 200;

    /** That of {@link AdapterBank#BASE}: names need no bank. */
    static final String BASE = "__base__";

    private static final String MARKS = "_-.@=,() ";
    private static final Pattern DEVICE = Pattern.compile("(CON|PRN|AUX|NUL|(COM|LPT)[0-9]) *(\\..*)?");
    /** The most characters of a text that a message shows. */
    private static final int MOST_SHOWN = 200;

    private AdapterName() {
    }

    /**
     * Requires that an adapter may have a name.
     *
     * @param name of an adapter
     * @return the name
     * @throws NullPointerException     if it is null
     * @throws IllegalArgumentException naming the name, what is wrong with it, and another one, if no adapter may be called so
     */
    public static String require(String name) {
        defect(name).ifPresent(defect -> {
            throw new IllegalArgumentException(defect);
        });
        return name;
    }

    /**
     * Tells why no adapter may have a name.
     *
     * @param name of an adapter
     * @return a sentence or two for people, without the full stop at the end; empty if an adapter may be called so
     * @throws NullPointerException if the name is null
     */
    public static Optional<String> defect(String name) {
        String reason = reason(Objects.requireNonNull(name, "The name of the adapter is null"));
        return reason == null ? Optional.empty()
                : Optional.of("An adapter cannot be called \"" + shown(name) + "\": " + reason + ". " + remedy(name));
    }

    private static @Nullable String reason(String name) {
        if (name.isEmpty()) {
            return "the name is empty";
        }
        int bytes = name.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > MAX_BYTES) {
            return "the name takes " + bytes + " bytes in UTF-8; at most " + MAX_BYTES + " are allowed";
        }
        int wrong = name.codePoints().filter(c -> !isPart(c)).findFirst().orElse(-1);
        if (wrong >= 0) {
            return "the name has " + character(wrong) + ", " + why(wrong);
        }
        int last = name.codePointBefore(name.length());
        if (last == ' ' || last == '.') {
            return "the name ends with " + character(last) + ", which Windows drops";
        }
        int first = name.codePointAt(0);
        if (!isFirst(first)) {
            return "the name begins with " + character(first) + ", but must begin with a letter, a digit or _";
        }
        if (!Normalizer.isNormalized(name, Normalizer.Form.NFC)) {
            return "the name is not in Unicode normalization form NFC, so it names a different folder than the same name in NFC";
        }
        String upper = name.toUpperCase(Locale.ROOT);
        return upper.equals(BASE.toUpperCase(Locale.ROOT)) ? "\"" + BASE + "\" is the base without any adapter"
                : upper.endsWith(".TMP") ? "the name ends with \".tmp\", like the files that an interrupted save leaves behind"
                : DEVICE.matcher(upper).matches() ? "on Windows it is the name of a device" : null;
    }

    private static boolean isFirst(int c) {
        return Character.isLetterOrDigit(c) || c == '_';
    }

    private static boolean isPart(int c) {
        int type = Character.getType(c);
        return Character.isLetterOrDigit(c) || MARKS.indexOf(c) >= 0 || type == Character.NON_SPACING_MARK
                || type == Character.COMBINING_SPACING_MARK || type == Character.ENCLOSING_MARK;
    }

    private static String why(int c) {
        return switch (c) {
            case ':' -> "which introduces a weight in a mix of adapters";
            case '+' -> "which separates the adapters of a mix";
            case '/', '\\' -> "which separates folders";
            default -> Character.getType(c) == Character.CONTROL ? "a control character" : "which is not allowed in a name";
        };
    }

    private static String character(int c) {
        String code = String.format(Locale.ROOT, "U+%04X", c);
        return isPart(c) && c != ' ' || c > ' ' && c < 0x7f ? "\"" + Character.toString(c) + "\" (" + code + ")"
                : c == ' ' ? "a space (" + code + ")" : "the character " + code;
    }

    /** Proposes a similar name that is allowed, if there is one. */
    private static String remedy(String name) {
        StringBuilder like = new StringBuilder();
        if (name.length() <= MAX_BYTES) {
            Normalizer.normalize(name, Normalizer.Form.NFC).codePoints().map(c -> isPart(c) ? c : '_')
                    .forEach(like::appendCodePoint);
        }
        String other = like.toString().replaceAll("[ .]+$|^[^\\p{L}\\p{Nd}_]+", "");
        if (DEVICE.matcher(other.toUpperCase(Locale.ROOT)).matches()) {
            other = "_" + other;
        }
        if (reason(other) == null && !other.chars().allMatch(c -> c == '_')) {
            return "Call it \"" + other + "\", for example";
        }
        return "Use letters and digits, with _ - . @ = , ( ) and spaces between them, at most " + MAX_BYTES + " bytes";
    }

    /** A stranger's text for a message: the beginning of a long one, without characters that a log or a terminal obeys. */
    static String shown(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().limit(MOST_SHOWN).forEach(c -> {
            if (isPart(c) || c > ' ' && c < 0x7f) {
                shown.appendCodePoint(c);
            } else {
                shown.append(String.format(Locale.ROOT, c > 0xffff ? "\\U%08X" : "\\u%04X", c));
            }
        });
        return text.codePointCount(0, text.length()) > MOST_SHOWN ? shown + "…" : shown.toString();
    }
}
