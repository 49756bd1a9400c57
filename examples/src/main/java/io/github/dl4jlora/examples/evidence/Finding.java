package io.github.dl4jlora.examples.evidence;

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
     * A figure that must lie in an interval.
     *
     * @param what      it is
     * @param published what the source has for it
     * @param ours      the figure
     * @param low       the smallest that agrees
     * @param high      the largest that agrees
     * @param expected  whether it is known to agree here; false: a claim that does not hold here, which is said and no failure
     */
    public record Check(String what, String published, double ours, double low, double high, boolean expected) {

        boolean holds() {
            return ours >= low && ours <= high;
        }

        /** Whether the command has to fail. */
        boolean isBroken() {
            return expected && !holds();
        }

        String tolerance() {
            return high < Double.POSITIVE_INFINITY && low <= 0 ? "at most " + figure(high)
                    : high == Double.POSITIVE_INFINITY ? "at least " + figure(low) : figure(low) + " to " + figure(high);
        }

        String verdict() {
            return holds() ? "holds" : expected ? "**FAILS**" : "**does not hold here**";
        }

        static String figure(double value) {
            double size = Math.abs(value);
            return size != 0 && (size < 1e-3 || size >= 1e5) ? String.format(Locale.ROOT, "%.1e", value)
                    : String.format(Locale.ROOT, size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f", value);
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
        blocks.add(Markdown.image(plot.title(), file));
        return this;
    }

    /** {@return this, with a figure that must be in an interval, or the command fails} */
    public Finding check(String what, String published, double ours, double low, double high) {
        checks.add(new Check(what, published, ours, low, high, true));
        return this;
    }

    /** {@return this, with a figure that is known not to be where the source has it} */
    public Finding differs(String what, String published, double ours, double low, double high) {
        checks.add(new Check(what, published, ours, low, high, false));
        return this;
    }

    /** {@return a task's name as part of a file's} */
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
