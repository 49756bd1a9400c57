package io.github.dl4jlora.internal.stored;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.File;
import java.io.IOException;

/** A file that DL4J's ModelSerializer wrote, read with the mistrust of {@link ModelZip}. It is open only while it is read. */
public final class StreamedModel implements StreamedBase {

    private final File file;
    private final Model standIn;

    private StreamedModel(File file, Model standIn) {
        this.file = file;
        this.standIn = standIn;
    }

    /**
     * Reads the configuration, and the headers of the parameters.
     *
     * @throws IOException as {@link ModelZip#restore}, and if the network stands on frozen weights that are not in its vector
     */
    public static StreamedModel open(File file) throws IOException {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces(); ModelZip source = ModelZip.open(file)) {
            return new StreamedModel(file, source.named(() -> source.network(source.configuration(id -> {
                throw new IOException("it is not a base, but an adapted or frozen network, whose frozen weights are stored "
                        + "separately: load what LoRA.save wrote with LoRA.load");
            }), (name, configured) -> { }, length -> untouched(source, length))));
        }
    }

    private static INDArray untouched(ModelZip source, long length) throws IOException {
        try (StoredVector stored = source.coefficients(length)) {
            return ValuesElsewhere.vector(stored.type(), length);
        }
    }

    @Override
    public Model standIn() {
        return standIn;
    }

    @Override
    public void forEach(LayerValues taker) throws IOException {
        long length = ValuesElsewhere.length(standIn.params());
        if (length == 0) {
            return;
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces(); ModelZip source = ModelZip.open(file);
             StoredVector stored = source.named(() -> source.coefficients(length))) {
            DataType type = standIn.params().dataType();
            if (stored.type() != type) {
                throw new IOException(file + " has been replaced: its values were of type " + type + ", now of " + stored.type());
            }
            for (Trainable layer : ValuesElsewhere.layers(standIn)) {
                // Only errors in the file name the file, not what the taker may throw.
                taker.accept(layer, source.named(() -> stored.next(layer.params().length())));
            }
            source.named(() -> {
                stored.end();
                return stored;
            });
        }
    }
}
