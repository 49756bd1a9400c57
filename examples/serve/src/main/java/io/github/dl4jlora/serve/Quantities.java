package io.github.dl4jlora.serve;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

import java.time.Duration;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Parses quantities as people type them. */
final class Quantities {

    private static final Pattern BYTES = Pattern.compile("(\\d{1,12})([kmg]?)");
    private static final Pattern TIME = Pattern.compile("(\\d{1,9})(ms|s|m|h)");

    private Quantities() {
    }

    /** {@code 8m}: 8 MiB. */
    static final class Bytes implements ITypeConverter<Long> {

        @Override
        public Long convert(String text) {
            Matcher matcher = BYTES.matcher(text.toLowerCase(Locale.ROOT));
            if (!matcher.matches() || Long.parseLong(matcher.group(1)) == 0) {
                throw new TypeConversionException("'" + text + "' is not a number of bytes, such as 8m");
            }
            int thousands = matcher.group(2).isEmpty() ? 0 : 1 + "kmg".indexOf(matcher.group(2));
            return Long.parseLong(matcher.group(1)) << 10 * thousands;
        }
    }

    /** {@code 30s}. */
    static final class Time implements ITypeConverter<Duration> {

        @Override
        public Duration convert(String text) {
            Matcher matcher = TIME.matcher(text.toLowerCase(Locale.ROOT));
            if (!matcher.matches()) {
                throw new TypeConversionException("'" + text + "' is not a time, such as 2ms, 30s, 10m or 1h");
            }
            long number = Long.parseLong(matcher.group(1));
            return switch (matcher.group(2)) {
                case "ms" -> Duration.ofMillis(number);
                case "s" -> Duration.ofSeconds(number);
                case "m" -> Duration.ofMinutes(number);
                default -> Duration.ofHours(number);
            };
        }
    }
}
