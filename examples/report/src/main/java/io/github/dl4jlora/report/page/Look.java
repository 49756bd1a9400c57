package io.github.dl4jlora.report.page;

import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * How one adapter or training is distinguished from the others in every chart, list and table of the page: by its colour; for
 * readers who see no colours, by its dashes and its marker; and by its number, which is beside its curves.
 *
 * @param index from 0
 */
record Look(int index) {

    /** The number of colours; a repeated colour has other dashes and another marker. */
    static final int COLOURS = 6;

    private static final float[][] DASHES = {null, {9, 4}, {2, 3}, {10, 3, 2, 3}, {15, 4}, {5, 2}};

    /** A marker in charts, and the same as the path of a small picture. */
    private enum Shape {

        CIRCLE(SeriesMarkers.CIRCLE, "M16 7a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
        SQUARE(SeriesMarkers.SQUARE, "M16.5 3.5h7v7h-7z"),
        TRIANGLE(SeriesMarkers.TRIANGLE_UP, "M20 2.5l4.5 8h-9z"),
        DIAMOND(SeriesMarkers.DIAMOND, "M20 2l5 5l-5 5l-5-5z"),
        UPSIDE_DOWN(SeriesMarkers.TRIANGLE_DOWN, "M20 11.5l4.5-8h-9z"),
        CROSS(SeriesMarkers.CROSS, "M16 3l8 8m0-8l-8 8"),
        PLUS(SeriesMarkers.PLUS, "M20 2v10m-5-5h10");

        private final Marker marker;
        private final String path;

        Shape(Marker marker, String path) {
            this.marker = marker;
            this.path = path;
        }
    }

    int colour() {
        return index % COLOURS;
    }

    String number() {
        return String.valueOf(index + 1);
    }

    /** Lengths of strokes and gaps; null for a solid line. */
    float[] dashes() {
        return DASHES[(index + index / COLOURS) % DASHES.length];
    }

    Marker marker() {
        return shape().marker;
    }

    private Shape shape() {
        return Shape.values()[index % Shape.values().length];
    }

    /** A sample of the line with its marker, as SVG. */
    String key() {
        float[] dashes = dashes();
        String array = dashes == null ? "" : " stroke-dasharray=\"" + IntStream.range(0, dashes.length)
                .mapToObj(i -> String.format(Locale.ROOT, "%.0f", dashes[i])).collect(Collectors.joining(" ")) + "\"";
        return "<svg class=\"key s" + colour() + "\" viewBox=\"0 0 40 14\" aria-hidden=\"true\"><path class=\"l\" d=\"M0 7H40\""
                + array + "/><path class=\"m\" d=\"" + shape().path + "\"/></svg>";
    }

    /** The name, with line and number if there are several names. */
    static String named(List<String> all, String name) {
        Look look = new Look(all.indexOf(name));
        return all.size() == 1 || look.index < 0 ? Html.escaped(name)
                : "<span class=\"who\">" + look.key() + "<b>" + look.number() + "</b> " + Html.escaped(name) + "</span>";
    }
}
