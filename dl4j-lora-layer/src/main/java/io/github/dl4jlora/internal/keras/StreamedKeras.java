package io.github.dl4jlora.internal.keras;

import io.github.dl4jlora.internal.stored.StreamedBase;
import org.deeplearning4j.nn.api.Model;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.concurrent.Callable;

/** A file that Keras saved as HDF5, sequential or functional: what DL4J's KerasModelImport makes of it, layer by layer. */
public final class StreamedKeras implements StreamedBase {

    private static final byte[] HDF5 = {(byte) 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

    private final File file;
    private final KerasFile keras;

    private StreamedKeras(File file, KerasFile keras) {
        this.file = file;
        this.keras = keras;
    }

    /** Whether a file begins as HDF5 does. */
    public static boolean recognises(File file) throws IOException {
        try (InputStream in = new FileInputStream(file)) {
            return Arrays.equals(in.readNBytes(HDF5.length), HDF5);
        }
    }

    /**
     * Reads the configuration.
     *
     * @throws IOException if DL4J cannot import it, or its importer is not on the class path; the message names the file
     */
    public static StreamedKeras open(File file) throws IOException {
        return new StreamedKeras(file, named(file, () -> KerasFile.open(file)));
    }

    @Override
    public Model standIn() {
        return keras.standIn();
    }

    @Override
    public void forEach(LayerValues taker) throws IOException {
        try (OneLayer archive = named(file, keras::archive)) {
            for (String layer : keras.layers()) {
                // Only errors in the file name the file, not what the taker may throw.
                taker.accept(keras.runtime(layer), named(file, () -> keras.values(archive, layer)));
            }
        }
    }

    /** @param step part of the reading; the importer has several checked exceptions */
    private static <T> T named(File file, Callable<T> step) throws IOException {
        try {
            return step.call();
        } catch (LinkageError e) {
            throw new IOException(file + " is a Keras file, but DL4J's importer for Keras is not on the class path: add "
                    + "org.deeplearning4j:deeplearning4j-modelimport, which brings in org.bytedeco:hdf5-platform. Missing: "
                    + e.getMessage(), e);
        } catch (Exception | StackOverflowError e) {
            throw new IOException(file + " cannot be imported as a Keras network: " + e.getMessage(), e);
        }
    }
}
