package io.github.dl4jlora.evidence;

import io.github.dl4jlora.examples.Spread;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.HeatMapChart;
import org.knowm.xchart.HeatMapChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.Marker;
import org.knowm.xchart.style.markers.SeriesMarkers;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.text.DecimalFormat;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** A picture of figures, dark on white. */
public final class Plot {

    private static final int WIDTH = 720;
    private static final int HEIGHT = 400;
    private static final int POINTS = 100;
    // Okabe and Ito 2008: can be distinguished without seeing red or green.
    private static final Color[] COLOURS = {new Color(0, 114, 178), new Color(213, 94, 0), new Color(0, 158, 115),
        new Color(204, 121, 167), new Color(230, 159, 0), new Color(86, 180, 233), new Color(0, 0, 0), new Color(120, 94, 20)};
    private static final Marker[] MARKERS = {SeriesMarkers.CIRCLE, SeriesMarkers.SQUARE, SeriesMarkers.TRIANGLE_UP,
        SeriesMarkers.DIAMOND, SeriesMarkers.TRIANGLE_DOWN, SeriesMarkers.CROSS, SeriesMarkers.PLUS};
    private static final float[][] DASHES = {null, {8, 4}, {2, 3}};
    private static final Color COLD = new Color(247, 251, 255);
    private static final Color HOT = new Color(107, 174, 214);
    private static final Font FONT = new Font(Font.SANS_SERIF, Font.PLAIN, 13);

    private final String title;
    private final Chart<?, ?> chart;

    private Plot(String title, Chart<?, ?> chart) {
        this.title = title;
        this.chart = chart;
    }

    /** {@return a picture of curves, empty at first} */
    public static Plot curves(String title, String x, String y) {
        XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).title(title).xAxisTitle(x).yAxisTitle(y).build();
        chart.getStyler().setChartBackgroundColor(Color.WHITE).setLegendPosition(Styler.LegendPosition.OutsideE)
                .setLegendBorderColor(Color.WHITE).setLegendFont(FONT).setChartTitleFont(FONT.deriveFont(Font.BOLD, 14f));
        chart.getStyler().setAxisTickLabelsFont(FONT).setAxisTitleFont(FONT).setPlotGridLinesColor(new Color(225, 225, 225))
                .setErrorBarsColorSeriesColor(true);
        chart.getStyler().setMarkerSize(7).setChartPadding(8);
        return new Plot(title, chart);
    }

    /**
     * {@return a picture of a value over two others}
     *
     * @param columns labels of the x axis, ascending
     * @param rows    labels of the y axis, ascending
     * @param values  by row, then by column
     */
    public static Plot heat(String title, String x, String y, List<String> columns, List<String> rows, double[][] values,
                            String decimals) {
        HeatMapChart chart = new HeatMapChartBuilder().width(WIDTH).height(HEIGHT).title(title).xAxisTitle(x).yAxisTitle(y)
                .build();
        chart.getStyler().setChartBackgroundColor(Color.WHITE).setChartTitleFont(FONT.deriveFont(Font.BOLD, 14f))
                .setLegendFont(FONT);
        chart.getStyler().setAxisTickLabelsFont(FONT).setAxisTitleFont(FONT);
        chart.getStyler().setShowValue(true).setValueFont(FONT).setValueFontColor(Color.BLACK)
                .setHeatMapValueDecimalPattern(decimals)
                .setHeatMapDecimalValueFormatter(value -> new DecimalFormat(decimals).format(value))
                .setRangeColors(new Color[] {COLD, HOT});
        List<Number[]> cells = IntStream.range(0, rows.size()).boxed().flatMap(row -> IntStream.range(0, columns.size())
                .mapToObj(column -> new Number[] {column, row, values[row][column]})).toList();
        chart.addSeries("values", columns, rows, cells);
        return new Plot(title, chart);
    }

    String title() {
        return title;
    }

    /** {@return this, with a logarithmic x axis} */
    public Plot logarithmicX() {
        ((XYChart) chart).getStyler().setXAxisLogarithmic(true);
        return this;
    }

    /** {@return this, with a logarithmic y axis} */
    public Plot logarithmicY() {
        ((XYChart) chart).getStyler().setYAxisLogarithmic(true);
        return this;
    }

    /** {@return this, limited to these values; values outside are drawn at the border} */
    public Plot between(double low, double high) {
        ((XYChart) chart).getStyler().setYAxisMin(low).setYAxisMax(high);
        return this;
    }

    /** {@return this, with a curve of points with bars of one deviation} */
    public Plot add(String name, double[] x, List<Spread> y) {
        double[] deviations = y.stream().mapToDouble(Spread::deviation).toArray();
        return add(name, x, y.stream().mapToDouble(Spread::mean).toArray(), deviations, true);
    }

    /** {@return this, with a curve} */
    public Plot line(String name, double[] x, double[] y) {
        return add(name, x, y, null, false);
    }

    /** {@return this, with a curve whose points are marked, in their order} */
    public Plot path(String name, double[] x, double[] y) {
        return add(name, x, y, null, true);
    }

    /** {@return this, with the losses of a training, each point the mean of some steps} */
    public Plot losses(String name, double[] losses) {
        int stretch = Math.max(1, losses.length / POINTS);
        int points = losses.length / stretch;
        double[] x = IntStream.range(0, points).mapToDouble(i -> (i + 0.5) * stretch).toArray();
        double[] y = IntStream.range(0, points).mapToDouble(i -> Arrays.stream(losses, i * stretch, (i + 1) * stretch).average()
                .orElseThrow()).toArray();
        return line(name, x, y);
    }

    private Plot add(String name, double[] x, double[] y, double[] deviations, boolean marked) {
        XYChart curves = (XYChart) chart;
        int index = curves.getSeriesMap().size();
        Double low = curves.getStyler().getYAxisMin();
        Double high = curves.getStyler().getYAxisMax();
        double[] drawn = Arrays.stream(y).map(value -> low == null ? value : Math.max(low, Math.min(high, value))).toArray();
        XYSeries series = deviations == null ? curves.addSeries(name, x, drawn) : curves.addSeries(name, x, drawn, deviations);
        Color colour = COLOURS[index % COLOURS.length];
        series.setMarker(marked ? MARKERS[index % MARKERS.length] : SeriesMarkers.NONE).setMarkerColor(colour);
        series.setLineColor(colour);
        series.setLineStyle(new BasicStroke(2, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10,
                DASHES[index / COLOURS.length % DASHES.length], 0));
        return this;
    }

    /** {@return the picture as PNG} */
    byte[] png() {
        try {
            return BitmapEncoder.getBitmapBytes(chart, BitmapEncoder.BitmapFormat.PNG);
        } catch (IOException e) {
            throw new UncheckedIOException("The plot \"" + title + "\" cannot be drawn", e);
        }
    }
}
