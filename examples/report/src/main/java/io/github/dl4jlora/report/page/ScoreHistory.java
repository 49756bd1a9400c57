package io.github.dl4jlora.report.page;

import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * The loss of a training, step by step, as DL4J's {@link CollectScoresIterationListener} records and exports it.
 *
 * @param iterations ascending
 * @param scores     one for each iteration
 */
public record ScoreHistory(long[] iterations, double[] scores) {

    /** At most this many points are drawn, since a chart has no pixels for more. */
    private static final int DRAWN = 120;
    /** In bytes: enough for more than a million steps. */
    private static final int LONGEST = 64 << 20;
    private static final int LONGEST_LINE = 1000;
    /** Iteration, score and the rest. */
    private static final int CELLS = 3;

    /**
     * @throws IllegalArgumentException if the two differ in length
     */
    public ScoreHistory {
        if (iterations.length != scores.length) {
            throw new IllegalArgumentException("A score history needs as many scores as iterations, but has " + scores.length
                    + " and " + iterations.length);
        }
    }

    /** What the listener has recorded so far, if anything. */
    public static ScoreHistory of(CollectScoresIterationListener listener) {
        return new ScoreHistory(listener.getScoreVsIter().getEffectiveIndexes(), listener.getScoreVsIter().getEffectiveScores());
    }

    /**
     * Reads what {@link CollectScoresIterationListener#exportScores(java.io.File)} wrote, or any file with an iteration and a
     * score on each line, separated by a tab, a semicolon or a comma. Numbers have decimal points.
     *
     * @throws IOException if the file cannot be read, or a line after the first is not such a pair; the message names the line
     */
    public static ScoreHistory read(Path file) throws IOException {
        List<String> lines = lines(file);
        List<Long> iterations = new ArrayList<>();
        List<Double> scores = new ArrayList<>();
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i).strip();
            // Beside a tab or a semicolon, a comma is part of a number. Cells after the score are ignored.
            String[] cells = line.split(line.contains("\t") || line.contains(";") ? "[\t;]" : ",", CELLS);
            boolean head = i == 0 && !cells[0].strip().matches("[0-9.]+");
            if (head || lines.get(i).isBlank()) {
                continue;
            }
            try {
                iterations.add(Long.parseLong(cells[0].strip()));
                scores.add(Double.parseDouble(cells[1].strip()));
            } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
                throw new IOException(file + ", line " + (i + 1) + ": \"" + lines.get(i).replaceAll("\\p{Cntrl}", "?")
                        + "\" is not an iteration and a score. Write the file with "
                        + "CollectScoresIterationListener.exportScores", e);
            }
        }
        if (scores.isEmpty()) {
            throw new IOException(file + " contains no scores");
        }
        return new ScoreHistory(iterations.stream().mapToLong(Long::longValue).toArray(),
                scores.stream().mapToDouble(Double::doubleValue).toArray());
    }

    /** The file is not trusted: neither its length nor that of a line. */
    private static List<String> lines(Path file) throws IOException {
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new IOException(file + " is not a file of scores, but a folder or a device");
        }
        byte[] bytes;
        try (InputStream in = Files.newInputStream(file)) {
            bytes = in.readNBytes(LONGEST + 1);
        }
        if (bytes.length > LONGEST) {
            throw new IOException(file + " is longer than " + LONGEST + " bytes. Leave out steps");
        }
        try {
            List<String> lines = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString().lines().toList();
            int line = IntStream.range(0, lines.size()).filter(i -> lines.get(i).length() > LONGEST_LINE).findFirst().orElse(-1);
            if (line >= 0) {
                throw new IOException(file + ", line " + (line + 1) + " is longer than " + LONGEST_LINE
                        + " characters, so it is not an iteration and a score");
            }
            return lines;
        } catch (CharacterCodingException e) {
            throw new IOException(file + " is not a text file of scores", e);
        }
    }

    /** NaN if there is none. */
    double first() {
        return scores.length == 0 ? Double.NaN : scores[0];
    }

    /** {@return the mean of the last steps, since the loss of one batch says little; NaN if there is none} */
    public double last() {
        return Arrays.stream(scores).skip(Math.max(0, scores.length - lastStretch())).average().orElse(Double.NaN);
    }

    /** How many steps count as the last ones: one in twenty. */
    int lastStretch() {
        return Math.max(1, scores.length / 20);
    }

    /**
     * This history with few enough points to draw: means of equally long stretches, with steps counted from the first one. Only
     * finite scores count; empty if there are none.
     */
    Optional<ScoreHistory> drawn() {
        int[] finite = IntStream.range(0, scores.length).filter(i -> Double.isFinite(scores[i])).toArray();
        if (finite.length == 0) {
            return Optional.empty();
        }
        int stretch = (finite.length + DRAWN - 1) / DRAWN;
        int points = (finite.length + stretch - 1) / stretch;
        long[] x = new long[points];
        double[] y = new double[points];
        for (int point = 0; point < points; point++) {
            int[] part = Arrays.copyOfRange(finite, point * stretch, Math.min(finite.length, (point + 1) * stretch));
            x[point] = iterations[part[part.length / 2]] - iterations[0];
            y[point] = Arrays.stream(part).mapToDouble(i -> scores[i]).average().orElseThrow();
        }
        return Optional.of(new ScoreHistory(x, y));
    }

    boolean diverged() {
        return !Arrays.stream(scores).allMatch(Double::isFinite);
    }
}
