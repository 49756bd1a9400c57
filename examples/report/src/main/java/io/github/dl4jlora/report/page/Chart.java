package io.github.dl4jlora.report.page;

import org.knowm.xchart.AnnotationText;
import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/**
 * Curves over one axis as an SVG image that scales, drawn by XChart. It is drawn about as wide as a phone, so that its
 * letters stay legible there, and it takes its colours from the page: {@code --ink}, {@code --grid}, {@code --series-1} ….
 */
final class Chart {

    private static final int WIDTH = 420;
    private static final int HEIGHT = 260;
    // XChart wants colours; the page's variables take their place in the SVG.
    private static final Color INK = new Color(1, 1, 1);
    private static final Color GRID = new Color(2, 2, 2);
    private static final Color NOTHING = new Color(0, 0, 0, 0);
    /** A curve has about this many markers; a curve with few points has one for each. */
    private static final int MARKERS = 12;
    private static final int ALL_MARKED = 16;
    /** Values that span less are easier to read on a linear axis. */
    private static final double A_DECADE = 10;
    /** Smaller figures have too many zeros to count. */
    private static final double SMALL = 1e-4;
    /** Room for numbers beside the curves, and between two of them, as shares of the axes. */
    private static final double MARGIN = 0.06;
    private static final double APART = 0.075;
    private static final Pattern LINE = Pattern.compile(
            "<line style=\"([^\"]*)\" x1=\"([^\"]*)\" x2=\"([^\"]*)\" y1=\"([^\"]*)\" y2=\"([^\"]*)\"/>");

    private final String title;
    private final String description;
    private final XYChart chart;
    private final List<Curve> curves = new ArrayList<>();
    private final List<Mark> marks = new ArrayList<>();
    private boolean logarithmic;
    private boolean logarithmicX;

    /** A word at a point. */
    private record Mark(double x, double y, String word) {
    }

    private record Curve(Look look, double[] x, double[] y) {

        double end() {
            return y[y.length - 1];
        }
    }

    Chart(String title, String description, String xTitle, String yTitle) {
        this.title = title;
        this.description = description;
        chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).xAxisTitle(xTitle).yAxisTitle(yTitle).build();
        Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 14);
        chart.getStyler().setChartBackgroundColor(NOTHING).setChartFontColor(INK).setLegendVisible(false).setBaseFont(font)
                .setAnnotationTextFont(font.deriveFont(Font.BOLD)).setAnnotationTextFontColor(INK);
        chart.getStyler().setPlotBackgroundColor(NOTHING).setPlotBorderColor(GRID).setPlotContentSize(.97);
        chart.getStyler().setPlotGridLinesColor(GRID).setAxisTickLabelsColor(INK).setAxisTickMarksColor(GRID)
                .setPlotGridLinesStroke(new BasicStroke(.5f))
                .setAxisTickLabelsFont(font).setAxisTitleFont(font).setPlotMargin(0).setAxisTicksLineVisible(false);
        chart.getStyler().setChartPadding(4).setMarkerSize(8);
    }

    /** Adds a curve. Curves of the same look in several charts mean the same adapter or training. */
    Chart add(Look look, double[] x, double[] y) {
        curves.add(new Curve(look, x, y));
        return this;
    }

    /** A logarithmic axis for the values, if they span a decade and none is zero; else one that fits them. */
    Chart logarithmic() {
        double[] sorted = ys().sorted().toArray();
        logarithmic = sorted[0] > 0 && sorted[sorted.length - 1] >= A_DECADE * sorted[0];
        if (logarithmic) {
            chart.getStyler().setYAxisLogarithmic(true).setYAxisLogarithmicDecadeOnly(true);
            chart.getStyler().setYAxisDecimalPattern(sorted[0] < SMALL ? "0E0" : "#,##0.####");
        }
        return this;
    }

    /** A logarithmic x axis; all x must be above zero. */
    Chart logarithmicX() {
        logarithmicX = true;
        chart.getStyler().setXAxisLogarithmic(true).setXAxisLogarithmicDecadeOnly(true).setXAxisDecimalPattern("0E0");
        return this;
    }

    /** Puts a letter or word above a point of a curve. */
    Chart mark(double x, double y, String word) {
        marks.add(new Mark(x, y, word));
        return this;
    }

    /** An axis from zero for the values. */
    Chart valuesFromZero() {
        chart.getStyler().setYAxisMin(0.0);
        return this;
    }

    /** Gives long figures below the axis more room. */
    Chart farApart() {
        chart.getStyler().setXAxisTickMarkSpacingHint(80);
        return this;
    }

    /** An x axis of whole numbers, from this one on. */
    Chart countingFrom(int first) {
        chart.getStyler().setXAxisMin((double) first);
        chart.getStyler().setxAxisTickLabelsFormattingFunction(value ->
                value == Math.rint(value) ? Numbers.count(Math.round(value)) : " ");
        return this;
    }

    String svg(String id) {
        curves.forEach(this::draw);
        double first = logarithmicX ? xs().min().orElse(1) : chart.getStyler().getXAxisMin();
        double last = Math.max(logarithmicX ? first : first + 1, xs().max().orElse(first));
        double margin = curves.size() == 1 ? 0 : MARGIN;
        chart.getStyler().setXAxisMin(first).setXAxisMax(beside(last, margin, first, last));
        if (curves.size() > 1) {
            curves.stream().collect(Collectors.groupingBy(curve -> curve.x[curve.x.length - 1])).forEach((end, together) ->
                    number(together, beside(end, margin / 2, first, last)));
        }
        marks.forEach(mark -> chart.addAnnotation(new AnnotationText(mark.word, mark.x, raised(mark.y), false)));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            VectorGraphicsEncoder.saveVectorGraphic(chart, bytes, VectorGraphicsEncoder.VectorGraphicsFormat.SVG);
        } catch (IOException e) {
            throw new UncheckedIOException("The chart \"" + title + "\" cannot be drawn", e);
        }
        String text = bytes.toString(StandardCharsets.UTF_8);
        String inner = whole(text.substring(text.indexOf('>', text.indexOf("<svg")) + 1)
                .replace("rgb(1,1,1)", "var(--ink)").replace("rgb(2,2,2)", "var(--grid)")
                .replaceAll("rgb\\(3,3,(\\d)\\)", "var(--series-$1)")
                .replaceAll("(\\.\\d)\\d+", "$1").replaceAll("\\s*\n\\s*", "")
                .replaceAll("clip(-?\\d+)", "clip-" + id + "-$1"));
        return "<svg viewBox=\"0 0 " + WIDTH + " " + HEIGHT + "\" role=\"img\" aria-labelledby=\"" + id + "-t " + id
                + "-d\"><title id=\""
                + id + "-t\">" + Html.escaped(title) + "</title><desc id=\"" + id + "-d\">" + Html.escaped(description)
                + "</desc>" + inner;
    }

    /** A line, and markers on some of its points, which XChart draws as two curves. */
    private void draw(Curve curve) {
        Color color = new Color(3, 3, curve.look.colour());
        XYSeries line = chart.addSeries(curve.look.number(), curve.x, curve.y);
        line.setLineColor(color);
        line.setMarker(SeriesMarkers.NONE);
        line.setLineStyle(new BasicStroke(2.5f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, curve.look.dashes(), 0));
        int points = curve.x.length;
        int every = points <= ALL_MARKED ? 1 : points / MARKERS;
        // The first marked point differs from curve to curve, so that curves which overlap show all their markers.
        int from = every == 1 ? 0 : curve.look.index() * 2 % every;
        int[] marked = IntStream.range(0, points).filter(i -> i % every == from).toArray();
        XYSeries markers = chart.addSeries("markers " + curve.look.number(),
                Arrays.stream(marked).mapToDouble(i -> curve.x[i]).toArray(),
                Arrays.stream(marked).mapToDouble(i -> curve.y[i]).toArray());
        markers.setLineStyle(SeriesLines.NONE);
        markers.setMarker(curve.look.marker()).setMarkerColor(color);
    }

    /** Puts the number of each curve beside its end, without overlaps. */
    private void number(List<Curve> together, double x) {
        double low = chart.getStyler().getYAxisMin() == null ? scaled(ys().min().orElseThrow()) : chart.getStyler().getYAxisMin();
        double high = scaled(ys().max().orElseThrow());
        double range = high > low ? high - low : 1;
        List<Curve> upwards = together.stream().sorted(Comparator.comparingDouble(Curve::end)).toList();
        double apart = Math.min(APART, 1.0 / upwards.size());
        double below = -apart;
        double room = 1 - apart * (upwards.size() - 1);
        for (Curve curve : upwards) {
            double height = Math.max(below + apart, Math.min((scaled(curve.end()) - low) / range, room));
            double value = low + height * range;
            chart.addAnnotation(new AnnotationText(curve.look.number(), x, logarithmic ? Math.pow(10, value) : value, false));
            below = height;
            room += apart;
        }
    }

    /** A place to the right of another, by a share of the axis. */
    private double beside(double x, double share, double first, double last) {
        return logarithmicX ? x * Math.pow(last / first, share) : x + share * (last - first);
    }

    /** A place above another, by the height of a letter. */
    private double raised(double y) {
        double high = scaled(ys().max().orElseThrow());
        double value = scaled(y) + APART * (high - scaled(ys().min().orElseThrow()));
        return logarithmic ? Math.pow(10, value) : value;
    }

    private DoubleStream xs() {
        return curves.stream().flatMapToDouble(curve -> Arrays.stream(curve.x));
    }

    private double scaled(double y) {
        return logarithmic ? Math.log10(y) : y;
    }

    private DoubleStream ys() {
        return curves.stream().flatMapToDouble(curve -> Arrays.stream(curve.y));
    }

    /** XChart draws a curve as separate lines. Joined, its dashes continue from one to the next. */
    private static String whole(String svg) {
        StringBuilder whole = new StringBuilder();
        StringBuilder points = new StringBuilder();
        String style = "";
        String at = "";
        int done = 0;
        var line = LINE.matcher(svg);
        while (line.find()) {
            String from = line.group(2) + "," + line.group(4);
            boolean goesOn = line.start() == done && style.equals(line.group(1)) && at.equals(from);
            if (!goesOn) {
                whole.append(polyline(style, points)).append(svg, done, line.start());
                points.setLength(0);
                points.append(from);
            }
            style = line.group(1);
            at = line.group(3) + "," + line.group(5);
            points.append(' ').append(at);
            done = line.end();
        }
        return whole.append(polyline(style, points)).append(svg.substring(done)).toString();
    }

    private static String polyline(String style, StringBuilder points) {
        return points.isEmpty() ? "" : "<polyline style=\"" + style + "\" points=\"" + points + "\"/>";
    }
}
