package io.github.dl4jlora.examples;

import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPInputStream;

/** A text whose characters are to be predicted; {@code texts.txt} beside the texts names their source. */
public record Text(String characters) {

    /** Every character that a text may contain. */
    public static final String ALPHABET = "\n !\"'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /** The beginning and the end of a text, which do not overlap. */
    public record Split(Text train, Text test) {
    }

    public static Text load(String resource) {
        try (InputStream file = new GZIPInputStream(Text.class.getResourceAsStream(resource))) {
            return new Text(new String(file.readAllBytes(), StandardCharsets.US_ASCII));
        } catch (IOException e) {
            throw new UncheckedIOException(resource + " cannot be read", e);
        }
    }

    /** The first {@code length} characters, or the whole text if it is shorter. */
    public Text first(int length) {
        return new Text(characters.substring(0, Math.min(length, characters.length())));
    }

    public Split split(double testShare) {
        int border = (int) (characters.length() * (1 - testShare));
        return new Split(new Text(characters.substring(0, border)), new Text(characters.substring(border)));
    }

    int length() {
        return characters.length();
    }

    /**
     * Pieces of {@code steps} characters in the order of the text, labelled with the next character at each step; an incomplete
     * piece at the end is left out.
     */
    DataSetIterator batches(int batchSize, int steps) {
        return new ExistingDataSetIterator(list(batchSize, steps));
    }

    /** As {@link #batches}, in a list. */
    public List<DataSet> list(int batchSize, int steps) {
        int pieces = (characters.length() - 1) / steps;
        List<DataSet> batches = new ArrayList<>();
        for (int from = 0; from < pieces; from += batchSize) {
            int examples = Math.min(batchSize, pieces - from);
            batches.add(new DataSet(oneHot(from, examples, steps, 0), oneHot(from, examples, steps, 1)));
        }
        return batches;
    }

    /** {@code [examples, alphabet, steps]}. */
    private INDArray oneHot(int piece, int examples, int steps, int shift) {
        float[][][] values = new float[examples][ALPHABET.length()][steps];
        for (int example = 0; example < examples; example++) {
            for (int step = 0; step < steps; step++) {
                values[example][ALPHABET.indexOf(characters.charAt((piece + example) * steps + step + shift))][step] = 1;
            }
        }
        return Nd4j.create(values);
    }
}
