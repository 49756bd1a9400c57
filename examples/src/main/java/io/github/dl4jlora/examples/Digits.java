package io.github.dl4jlora.examples;

import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.zip.GZIPInputStream;

/** Handwritten digits, 8×8 grey pixels each; {@code digits.txt} beside the data names their source. */
public record Digits(List<Digit> images) {

    static final int SIDE = 8;
    public static final int PIXELS = SIDE * SIDE;
    public static final int CLASSES = 10;

    private static final String RESOURCE = "digits.csv.gz";
    private static final float INK = 16;
    private static final double SPECKLES = 0.4;

    /**
     * One image.
     *
     * @param pixels row by row, 0 (paper) to 1 (ink)
     * @param label  the digit that it shows
     */
    public record Digit(float[] pixels, int label) {

        /** A quarter turn to the right: what was the left column becomes the top row. */
        Digit turned() {
            float[] turned = new float[PIXELS];
            for (int row = 0; row < SIDE; row++) {
                for (int column = 0; column < SIDE; column++) {
                    turned[row * SIDE + column] = pixels[(SIDE - 1 - column) * SIDE + row];
                }
            }
            return new Digit(turned, label);
        }
    }

    /** Two disjoint parts, in which every digit has the same share. */
    public record Split(Digits train, Digits test) {
    }

    public Digits {
        images = List.copyOf(images);
    }

    /** All 1,797. */
    public static Digits load() {
        try (InputStream file = Digits.class.getResourceAsStream(RESOURCE);
             BufferedReader lines = new BufferedReader(new InputStreamReader(new GZIPInputStream(file),
                     StandardCharsets.US_ASCII))) {
            return new Digits(lines.lines().map(Digits::parse).toList());
        } catch (IOException e) {
            throw new UncheckedIOException(RESOURCE + " cannot be read", e);
        }
    }

    private static Digit parse(String line) {
        String[] numbers = line.split(",");
        float[] pixels = new float[PIXELS];
        for (int i = 0; i < PIXELS; i++) {
            pixels[i] = Integer.parseInt(numbers[i]) / INK;
        }
        return new Digit(pixels, Integer.parseInt(numbers[PIXELS]));
    }

    /** The same parts for the same seed. */
    public Split split(double testShare, long seed) {
        Random random = new Random(seed);
        List<Digit> train = new ArrayList<>();
        List<Digit> test = new ArrayList<>();
        for (int label = 0; label < CLASSES; label++) {
            List<Digit> ofLabel = new ArrayList<>(ofLabel(label));
            Collections.shuffle(ofLabel, random);
            int testImages = (int) Math.round(testShare * ofLabel.size());
            test.addAll(ofLabel.subList(0, testImages));
            train.addAll(ofLabel.subList(testImages, ofLabel.size()));
        }
        Collections.shuffle(train, random);
        return new Split(new Digits(train), new Digits(test));
    }

    List<Digit> ofLabel(int label) {
        return images.stream().filter(digit -> digit.label == label).toList();
    }

    /** The even digits for parity 0, the odd ones for 1. */
    public Digits ofParity(int parity) {
        return new Digits(images.stream().filter(digit -> digit.label % 2 == parity).toList());
    }

    public Digits turned() {
        return new Digits(images.stream().map(Digit::turned).toList());
    }

    /** {@return the same with pixels from -1, paper, to 1, ink} */
    public Digits onPaper() {
        return changed(pixel -> 2 * pixel - 1);
    }

    /** {@return digits on paper as if chalked on a dark, speckled board} */
    public Digits onBoard(Random random) {
        return changed(pixel -> SPECKLES * random.nextGaussian() - pixel);
    }

    private Digits changed(DoubleUnaryOperator change) {
        return new Digits(images.stream().map(digit -> {
            float[] pixels = new float[PIXELS];
            for (int i = 0; i < PIXELS; i++) {
                pixels[i] = (float) change.applyAsDouble(digit.pixels[i]);
            }
            return new Digit(pixels, digit.label);
        }).toList());
    }

    public int size() {
        return images.size();
    }

    /** In order, in batches. */
    public DataSetIterator batches(int batchSize) {
        return new ExistingDataSetIterator(list(batchSize));
    }

    /** As {@link #batches}, in a list. */
    public List<DataSet> list(int batchSize) {
        List<DataSet> batches = new ArrayList<>();
        for (int from = 0; from < size(); from += batchSize) {
            Digits batch = new Digits(images.subList(from, Math.min(from + batchSize, size())));
            batches.add(new DataSet(batch.features(), batch.labels()));
        }
        return batches;
    }

    /** {@code [images, 64]}. */
    public INDArray features() {
        return Nd4j.create(images.stream().map(Digit::pixels).toArray(float[][]::new));
    }

    /** One-hot, {@code [images, 10]}. */
    private INDArray labels() {
        float[][] oneHot = new float[size()][CLASSES];
        for (int i = 0; i < size(); i++) {
            oneHot[i][images.get(i).label] = 1;
        }
        return Nd4j.create(oneHot);
    }
}
