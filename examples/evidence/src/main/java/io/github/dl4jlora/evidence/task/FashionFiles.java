package io.github.dl4jlora.evidence.task;

import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747): pictures of 28×28 grey pixels, ten kinds of clothes, in MNIST's
 * file format.
 */
final class FashionFiles {

    static final int SIDE = 28;
    static final int CLASSES = 10;

    private static final int IMAGES = 0x803;
    private static final int LABELS = 0x801;
    private static final float WHITE = 255;

    private final byte[][] pictures;
    private final byte[] labels;

    private FashionFiles(byte[][] pictures, byte[] labels) {
        this.pictures = pictures;
        this.labels = labels;
    }

    /**
     * The first pictures of a set.
     *
     * @param set {@code train} or {@code t10k}
     * @throws IOException if a file is missing, is not in MNIST's format, or has fewer pictures; the message names it
     */
    static FashionFiles read(Path folder, String set, int number) throws IOException {
        byte[][] pictures = new byte[number][SIDE * SIDE];
        byte[] labels = new byte[number];
        Path images = folder.resolve(set + "-images-idx3-ubyte.gz");
        try (DataInputStream in = open(images, IMAGES, number)) {
            if (in.readInt() != SIDE || in.readInt() != SIDE) {
                throw new IOException("The pictures in " + folder + " are not " + SIDE + " by " + SIDE
                        + ": they are not Fashion-MNIST's");
            }
            for (byte[] picture : pictures) {
                in.readFully(picture);
            }
        } catch (EOFException e) {
            throw endsEarly(images, e);
        }
        Path classes = folder.resolve(set + "-labels-idx1-ubyte.gz");
        try (DataInputStream in = open(classes, LABELS, number)) {
            in.readFully(labels);
        } catch (EOFException e) {
            throw endsEarly(classes, e);
        }
        for (byte label : labels) {
            if (label < 0 || label >= CLASSES) {
                throw new IOException("A label in " + folder + " is " + label + ", but Fashion-MNIST has labels 0 to "
                        + (CLASSES - 1));
            }
        }
        return new FashionFiles(pictures, labels);
    }

    private static DataInputStream open(Path file, int magic, int number) throws IOException {
        InputStream raw = Files.newInputStream(file);
        try {
            DataInputStream in = new DataInputStream(new GZIPInputStream(raw, 1 << 16));
            int found = in.readInt();
            int there = in.readInt();
            if (found != magic || there < number) {
                throw new IOException(file + " is not a file of Fashion-MNIST, or has fewer than " + number + " pictures");
            }
            return in;
        } catch (ZipException e) {
            raw.close();
            throw new IOException(file + " is not compressed, or is damaged: fetch it again", e);
        } catch (IOException e) {
            raw.close();
            throw e;
        }
    }

    private static IOException endsEarly(Path file, EOFException cause) {
        return new IOException(file + " ends early: fetch it again", cause);
    }

    /** In batches; turned by 90 degrees or not. */
    List<DataSet> batches(int size, boolean turned) {
        List<DataSet> batches = new ArrayList<>();
        for (int from = 0; from < labels.length; from += size) {
            int number = Math.min(size, labels.length - from);
            float[][] features = new float[number][SIDE * SIDE];
            float[][] classes = new float[number][CLASSES];
            for (int i = 0; i < number; i++) {
                byte[] picture = pictures[from + i];
                for (int pixel = 0; pixel < picture.length; pixel++) {
                    int row = pixel / SIDE;
                    int column = pixel % SIDE;
                    int at = turned ? (SIDE - 1 - column) * SIDE + row : pixel;
                    features[i][pixel] = (picture[at] & 0xff) / WHITE;
                }
                classes[i][labels[from + i]] = 1;
            }
            batches.add(new DataSet(Nd4j.create(features), Nd4j.create(classes)));
        }
        return batches;
    }
}
