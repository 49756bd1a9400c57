package io.github.dl4jlora.transformers.tensorflow;

import io.github.dl4jlora.internal.untrusted.RawValues;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.protobuf.InvalidProtocolBufferException;
import org.tensorflow.framework.TensorShapeProto.Dim;
import org.tensorflow.util.BundleEntryProto;
import org.tensorflow.util.BundleHeaderProto;

import java.io.EOFException;
import java.io.IOException;
import java.nio.channels.Channels;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;

/**
 * A checkpoint that TensorFlow wrote in its format V2, a "tensor bundle":
 *
 * <pre>
 *   PREFIX.index                  a table: nothing to a BundleHeaderProto, a tensor's name to its BundleEntryProto
 *   PREFIX.data-00000-of-00001    the values, row by row, little-endian; maybe in several such files
 * </pre>
 *
 * <p>The format: https://github.com/tensorflow/tensorflow, core/protobuf/tensor_bundle.proto and core/util/tensor_bundle. What
 * the index claims is checked against the files' sizes when they are opened, what they hold against the checksums when a tensor
 * is read. A SavedModel's prefix is {@code FOLDER/variables/variables}. For one thread at a time.
 */
public final class TensorBundle implements AutoCloseable {

    private static final String HEADER = "";
    /** The version of this reader, compared with BundleHeaderProto.version.min_consumer. */
    private static final int VERSION = 1;
    private static final int MOST_FILES = 10_000;
    private static final int MOST_DIMENSIONS = 8;

    private final Path index;
    private final Map<String, BundleEntryProto> entries;
    private final List<SeekableByteChannel> data = new ArrayList<>();
    private final List<Path> files;

    private TensorBundle(Path index, Map<String, BundleEntryProto> entries, List<Path> files) {
        this.index = index;
        this.entries = entries;
        this.files = files;
    }

    /**
     * Opens a checkpoint's files and reads its index.
     *
     * @param prefix the common part of the names of its files: {@code bert_model.ckpt} of {@code bert_model.ckpt.index}
     * @throws IOException naming the file, if one is missing, or they are damaged or not those of a checkpoint
     */
    public static TensorBundle open(Path prefix) throws IOException {
        Path index = beside(prefix, ".index");
        Map<String, byte[]> table = SortedTable.read(index);
        byte[] header = table.remove(HEADER);
        if (header == null) {
            throw new IOException(index + " is a table without the header of a TensorFlow checkpoint");
        }
        Map<String, BundleEntryProto> entries = new LinkedHashMap<>();
        TensorBundle bundle;
        try {
            int shards = shards(index, BundleHeaderProto.parseFrom(header));
            for (Map.Entry<String, byte[]> entry : table.entrySet()) {
                entries.put(entry.getKey(), BundleEntryProto.parseFrom(entry.getValue()));
            }
            bundle = new TensorBundle(index, entries, files(prefix, shards));
        } catch (InvalidProtocolBufferException e) {
            throw new IOException(index + " is damaged: " + e.getMessage(), e);
        }
        try {
            bundle.openFiles();
            return bundle;
        } catch (IOException | RuntimeException e) {
            bundle.close();
            throw e;
        }
    }

    private static int shards(Path index, BundleHeaderProto header) throws IOException {
        if (header.getEndianness() != BundleHeaderProto.Endianness.LITTLE) {
            throw new IOException(index + ": the values are in the byte order " + header.getEndianness()
                    + "; only LITTLE is supported. Save the checkpoint on another machine");
        }
        if (header.getVersion().getMinConsumer() > VERSION) {
            throw new IOException(index + " is for readers of version " + header.getVersion().getMinConsumer()
                    + " and above; this one is of version " + VERSION);
        }
        int shards = header.getNumShards();
        if (shards < 1 || shards > MOST_FILES) {
            throw new IOException(index + " claims that the values are in " + shards + " files; expected 1 to " + MOST_FILES);
        }
        return shards;
    }

    private static List<Path> files(Path prefix, int shards) {
        List<Path> files = new ArrayList<>();
        for (int shard = 0; shard < shards; shard++) {
            files.add(beside(prefix, String.format(Locale.ROOT, ".data-%05d-of-%05d", shard, shards)));
        }
        return files;
    }

    private static Path beside(Path prefix, String ending) {
        return prefix.resolveSibling(prefix.getFileName() + ending);
    }

    private void openFiles() throws IOException {
        for (Path file : files) {
            if (!Files.isRegularFile(file)) {
                throw new IOException(file + " does not exist or is not a file, but " + index + " refers to it");
            }
            data.add(Files.newByteChannel(file, StandardOpenOption.READ));
        }
        for (Map.Entry<String, BundleEntryProto> named : entries.entrySet()) {
            BundleEntryProto entry = named.getValue();
            if (entry.getShardId() < 0 || entry.getShardId() >= files.size()) {
                throw new IOException(what(named.getKey()) + " is in file " + entry.getShardId() + " of " + files.size());
            }
            long available = data.get(entry.getShardId()).size();
            if (entry.getOffset() < 0 || entry.getSize() < 0 || entry.getOffset() > available - entry.getSize()) {
                throw new IOException(what(named.getKey()) + " has " + entry.getSize() + " bytes at " + entry.getOffset() + " of "
                        + files.get(entry.getShardId()) + ", which has " + available);
            }
        }
    }

    private String what(String name) {
        return index + ": tensor \"" + name + "\"";
    }

    /** {@return the names of all tensors, in alphabetical order} */
    public List<String> names() {
        return List.copyOf(entries.keySet());
    }

    /**
     * {@return a tensor's shape, empty for a single number}
     *
     * @throws IOException if there is no such tensor, or {@link #read} would refuse it for what the index says
     */
    public long[] shape(String name) throws IOException {
        BundleEntryProto entry = entries.get(name);
        if (entry == null) {
            throw new IOException(index + " has no tensor \"" + name + "\"");
        }
        if (entry.getDtype() != org.tensorflow.framework.DataType.DT_FLOAT) {
            throw new IOException(what(name) + " is of the type " + entry.getDtype() + "; only DT_FLOAT is supported");
        }
        if (entry.getSlicesCount() > 0) {
            throw new IOException(what(name) + " is stored in " + entry.getSlicesCount()
                    + " slices, which is not supported; save the checkpoint without partitioned variables");
        }
        long[] shape = entry.getShape().getDimList().stream().mapToLong(Dim::getSize).toArray();
        if (entry.getShape().getUnknownRank() || shape.length > MOST_DIMENSIONS || entry.getSize() != bytes(name, shape)) {
            throw new IOException(what(name) + " has " + entry.getSize() + " bytes, which is not DT_FLOAT"
                    + Arrays.toString(shape));
        }
        return shape;
    }

    private long bytes(String name, long[] shape) throws IOException {
        try {
            long bytes = Float.BYTES;
            for (long dimension : shape) {
                if (dimension < 1) {
                    throw new IOException(what(name) + " has the shape " + Arrays.toString(shape));
                }
                bytes = Math.multiplyExact(bytes, dimension);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw new IOException(what(name) + " has the shape " + Arrays.toString(shape) + ", which overflows", e);
        }
    }

    /**
     * Copies a tensor out of the files.
     *
     * @return a new array, FLOAT, of the tensor's shape in 'c' order, in no workspace
     * @throws IOException naming file and tensor, if there is no tensor of that name, if it is not stored as floats in one piece,
     *                     or if its bytes have changed since TensorFlow wrote them, or contain NaN or infinity
     */
    public INDArray read(String name) throws IOException {
        long[] shape = shape(name);
        BundleEntryProto entry = entries.get(name);
        SeekableByteChannel channel = data.get(entry.getShardId());
        channel.position(entry.getOffset());
        CheckedInputStream values = new CheckedInputStream(Channels.newInputStream(channel), new CRC32C());
        INDArray array;
        try {
            array = RawValues.read(values, DataType.FLOAT, shape);
        } catch (EOFException e) {
            throw new IOException(files.get(entry.getShardId()) + " was shortened while it was read", e);
        }
        long notFinite = RawValues.firstNotFinite(array);
        boolean damaged = MaskedCrc.masked(values.getChecksum()) != entry.getCrc32C();
        if (damaged || notFinite >= 0) {
            array.close();
            throw new IOException(what(name) + " in " + files.get(entry.getShardId()) + (damaged
                    ? " is damaged: its checksum differs" : " holds NaN or infinity at position " + notFinite));
        }
        return array;
    }

    /** The index file. */
    @Override
    public String toString() {
        return index.toString();
    }

    @Override
    public void close() throws IOException {
        for (SeekableByteChannel channel : data) {
            channel.close();
        }
    }
}
