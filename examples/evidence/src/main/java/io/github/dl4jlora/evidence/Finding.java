package io.github.dl4jlora.evidence;

import io.github.dl4jlora.console.Markdown;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What was found about a claim: pictures, tables, sentences, and figures that are checked. */
public final class Finding {

    private final Map<String, Plot> plots = new LinkedHashMap<>();
    private final List<String> blocks = new ArrayList<>();
    private final List<Check> checks = new ArrayList<>();

    /**
     * A figure, the interval that its source claims, and the interval that is expected here.
     *
     * @param what      what the figure is
     * @param published what the source has for it
     * @param ours      the figure
     * @param claimed   the interval in which the claim holds
     * @param here      the interval outside of which the command fails; a different one if the claim is known not to hold
     */
    public record Check(String what, String published, double ours, Interval claimed, Interval here) {

        boolean holds() {
            return claimed.contains(ours);
        }

        /** Whether the command has to fail. */
        boolean isBroken() {
            return !here.contains(ours);
        }

        String verdict() {
            return isBroken() ? "**FAILS**" : holds() ? "holds" : "**does not hold here**";
        }

        static String figure(double value) {
            double size = Math.abs(value);
            return size != 0 && (size < 1e-3 || size >= 1e5) ? String.format(Locale.ROOT, "%.1e", value)
                    : String.format(Locale.ROOT, size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f", value);
        }
    }

    /**
     * From one figure to another, both included.
     *
     * @param low  0 or minus infinity if only the upper end matters
     * @param high infinite if only the lower end matters
     */
    public record Interval(double low, double high) {

        /** {@return all values up to this one} */
        public static Interval atMost(double high) {
            return new Interval(Double.NEGATIVE_INFINITY, high);
        }

        /** {@return all values from this one on} */
        public static Interval atLeast(double low) {
            return new Interval(low, Double.POSITIVE_INFINITY);
        }

        boolean contains(double value) {
            return value >= low && value <= high;
        }

        @Override
        public String toString() {
            return low == 0 && high < Double.POSITIVE_INFINITY || low == Double.NEGATIVE_INFINITY ? "at most "
                    + Check.figure(high)
                    : high == Double.POSITIVE_INFINITY ? "at least " + Check.figure(low)
                    : Check.figure(low) + " to " + Check.figure(high);
        }
    }

    /** {@return this, with a paragraph} */
    public Finding text(String paragraph) {
        blocks.add(Markdown.paragraph(paragraph));
        return this;
    }

    /** {@return this, with a table in which all columns but the first are figures} */
    public Finding table(List<String> header, List<List<String>> rows) {
        blocks.add(Markdown.table(header, rows));
        return this;
    }

    /** {@return this, with a picture} */
    public Finding plot(String file, Plot plot) {
        plots.put(file, plot);
        blocks.add("![" + plot.title() + "](evidence/" + file + ".png)");
        return this;
    }

    /** {@return this, with a figure that must be in an interval for the claim to hold, or the command fails} */
    public Finding check(String what, String published, double ours, double low, double high) {
        Interval interval = new Interval(low, high);
        checks.add(new Check(what, published, ours, interval, interval));
        return this;
    }

    /**
     * A figure for which the claim may be known not to hold.
     *
     * @param claimed the interval in which the claim holds
     * @param here    the interval outside of which the command fails
     * @return this, with it
     */
    public Finding check(String what, String published, double ours, Interval claimed, Interval here) {
        checks.add(new Check(what, published, ours, claimed, here));
        return this;
    }

    /** {@return a task's name as part of a file name} */
    public static String file(String name) {
        return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
    }

    Map<String, Plot> plots() {
        return plots;
    }

    List<String> blocks() {
        return blocks;
    }

    List<Check> checks() {
        return checks;
    }
}
