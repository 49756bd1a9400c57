package io.github.dl4jlora.examples.report;

import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Curves over one axis as an SVG image that scales, drawn by XChart. It is drawn about as wide as a phone, so that its
 * letters stay legible there, and it takes its colours from the page: {@code --ink}, {@code --grid}, {@code --series-1} ….
 */
final class Chart {

    /** How many series look different. */
    static final int LOOKS = 6;

    private static final int WIDTH = 420;
    private static final int HEIGHT = 260;
    // XChart wants colours; the page's variables take their place in the SVG.
    private static final Color INK = new Color(1, 1, 1);
    private static final Color GRID = new Color(2, 2, 2);
    private static final Color NOTHING = new Color(0, 0, 0, 0);
    private static final float[][] DASHES = {null, {8, 4}, {2, 3}, {10, 3, 2, 3}, {14, 5}, {5, 2}};

    private final String title;
    private final String description;
    private final XYChart chart;
    private final Map<String, Integer> looks = new LinkedHashMap<>();

    Chart(String title, String description, String xTitle, String yTitle) {
        this.title = title;
        this.description = description;
        chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).xAxisTitle(xTitle).yAxisTitle(yTitle).build();
        Font font = new Font(Font.SANS_SERIF, Font.PLAIN, 14);
        chart.getStyler().setChartBackgroundColor(NOTHING).setChartFontColor(INK).setLegendVisible(false).setBaseFont(font);
        chart.getStyler().setPlotBackgroundColor(NOTHING).setPlotBorderColor(GRID).setPlotContentSize(.97);
        chart.getStyler().setPlotGridLinesColor(GRID).setAxisTickLabelsColor(INK).setAxisTickMarksColor(GRID)
                .setAxisTickLabelsFont(font).setAxisTitleFont(font).setPlotMargin(0).setAxisTicksLineVisible(false);
        chart.getStyler().setChartPadding(4);
        chart.getStyler().setYAxisMin(0.0);
    }

    /** Adds a curve. Curves of the same name and look in several charts are one thing to the reader. */
    Chart add(String name, int look, double[] x, double[] y, boolean dots) {
        XYSeries series = chart.addSeries(name, x, y);
        looks.put(name, look % LOOKS);
        Color color = new Color(3, 3, look % LOOKS);
        series.setLineColor(color);
        series.setMarkerColor(color);
        series.setMarker(dots ? SeriesMarkers.CIRCLE : SeriesMarkers.NONE);
        series.setLineStyle(new BasicStroke(2.5f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, DASHES[look % LOOKS], 0));
        return this;
    }

    /** An axis from zero, its figures far enough apart to be read. */
    Chart fromZero() {
        chart.getStyler().setXAxisMin(0.0).setXAxisTickMarkSpacingHint(80);
        return this;
    }

    /** Only whole numbers on the axis. */
    Chart wholeNumbers(int upTo) {
        chart.getStyler().setXAxisMin(1.0).setXAxisMax((double) Math.max(2, upTo));
        chart.getStyler().setxAxisTickLabelsFormattingFunction(value ->
                value == Math.rint(value) ? String.valueOf(Math.round(value)) : " ");
        return this;
    }

    String svg(String id) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            VectorGraphicsEncoder.saveVectorGraphic(chart, bytes, VectorGraphicsEncoder.VectorGraphicsFormat.SVG);
        } catch (IOException e) {
            throw new UncheckedIOException("The chart \"" + title + "\" cannot be drawn", e);
        }
        String text = bytes.toString(StandardCharsets.UTF_8);
        String inner = text.substring(text.indexOf('>', text.indexOf("<svg")) + 1)
                .replace("rgb(1,1,1)", "var(--ink)").replace("rgb(2,2,2)", "var(--grid)")
                .replaceAll("rgb\\(3,3,(\\d)\\)", "var(--series-$1)")
                .replaceAll("(\\.\\d)\\d+", "$1").replaceAll("\\s*\n\\s*", "")
                .replaceAll("clip(-?\\d+)", "clip-" + id + "-$1");
        return "<svg viewBox=\"0 0 " + WIDTH + " " + HEIGHT + "\" role=\"img\" aria-labelledby=\"" + id + "-t " + id
                + "-d\"><title id=\""
                + id + "-t\">" + Html.escaped(title) + "</title><desc id=\"" + id + "-d\">" + Html.escaped(description)
                + "</desc>" + inner;
    }
}
