package io.github.dl4jlora.report.page;

import java.util.Locale;

/** Formats numbers for readers. */
final class Numbers {

    private Numbers() {
    }

    /** Three significant digits. */
    static String figure(double value) {
        double size = Math.abs(value);
        if (size == 0 || !Double.isFinite(value)) {
            return value == 0 ? "0" : String.valueOf(value);
        }
        return size >= 1e5 || size < 1e-3 ? String.format(Locale.ROOT, "%.2e", value)
                : size >= 100 ? String.format(Locale.ROOT, "%.0f", value)
                : size >= 10 ? String.format(Locale.ROOT, "%.1f", value)
                : size >= 1 ? String.format(Locale.ROOT, "%.2f", value)
                : size >= 0.1 ? String.format(Locale.ROOT, "%.3f", value) : String.format(Locale.ROOT, "%.4f", value);
    }

    /** A setting without superfluous digits. */
    static String setting(double value) {
        return value == Math.rint(value) && Math.abs(value) < 1e9 ? String.valueOf((long) value) : String.valueOf((float) value);
    }

    static String count(long value) {
        return String.format(Locale.ROOT, "%,d", value);
    }

    static String cosine(double value) {
        return String.format(Locale.ROOT, "%.3f", value).replace('-', '−');
    }
}
