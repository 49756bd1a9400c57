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

    /** Far beyond any machine's, and small enough to be multiplied. */
    private static final long MOST_BYTES = 1L << 50;
    private static final Duration LONGEST = Duration.ofDays(365);

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
            long number = Long.parseLong(matcher.group(1));
            if (number > MOST_BYTES >> 10 * thousands) {
                throw new TypeConversionException("'" + text + "' is more than " + (MOST_BYTES >> 30) + "g bytes");
            }
            return number << 10 * thousands;
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
            Duration time = switch (matcher.group(2)) {
                case "ms" -> Duration.ofMillis(number);
                case "s" -> Duration.ofSeconds(number);
                case "m" -> Duration.ofMinutes(number);
                default -> Duration.ofHours(number);
            };
            if (time.compareTo(LONGEST) > 0) {
                throw new TypeConversionException("'" + text + "' is more than a year, " + LONGEST.toHours() + "h");
            }
            return time;
        }
    }
}
