package io.github.dl4jlora.transformers.tensorflow;

import org.nd4j.linalg.api.ndarray.INDArray;
import org.tensorflow.framework.DataType;
import org.tensorflow.framework.TensorShapeProto;
import org.tensorflow.framework.VersionDef;
import org.tensorflow.util.BundleEntryProto;
import org.tensorflow.util.BundleHeaderProto;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;

/** Writes what {@link TensorBundle} reads: float tensors, in as many files as are asked for, in turn. */
final class BundleFiles {

    private final BundleHeaderProto.Builder header;
    private final SortedMap<String, BundleEntryProto.Builder> entries = new TreeMap<>();
    private final ByteArrayOutputStream[] data;

    BundleFiles(int shards) {
        header = BundleHeaderProto.newBuilder().setNumShards(shards).setVersion(VersionDef.newBuilder().setProducer(1));
        data = new ByteArrayOutputStream[shards];
        for (int shard = 0; shard < shards; shard++) {
            data[shard] = new ByteArrayOutputStream();
        }
    }

    /** The values in 'c' order. */
    BundleFiles put(String name, INDArray array) {
        ByteArrayOutputStream values = new ByteArrayOutputStream();
        for (float value : array.dup('c').data().asFloat()) {
            TableBytes.fixed(values, Float.floatToIntBits(value));
        }
        TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
        for (long size : array.shape()) {
            shape.addDim(TensorShapeProto.Dim.newBuilder().setSize(size));
        }
        int shard = entries.size() % data.length;
        entries.put(name, BundleEntryProto.newBuilder().setDtype(DataType.DT_FLOAT).setShape(shape).setShardId(shard)
                .setOffset(data[shard].size()).setSize(values.size())
                .setCrc32C(MaskedCrc.of(values.toByteArray(), 0, values.size())));
        data[shard].writeBytes(values.toByteArray());
        return this;
    }

    /** Has the index say something else of one tensor. */
    BundleFiles change(String name, Consumer<BundleEntryProto.Builder> change) {
        change.accept(entries.get(name));
        return this;
    }

    BundleFiles changeHeader(Consumer<BundleHeaderProto.Builder> change) {
        change.accept(header);
        return this;
    }

    BundleFiles remove(String name) {
        entries.remove(name);
        return this;
    }

    void write(Path prefix) throws IOException {
        SortedMap<String, byte[]> index = new TreeMap<>();
        index.put("", header.build().toByteArray());
        entries.forEach((name, entry) -> index.put(name, entry.build().toByteArray()));
        Files.write(Path.of(prefix + ".index"), TableBytes.of(index));
        for (int shard = 0; shard < data.length; shard++) {
            Files.write(file(prefix, shard, data.length), data[shard].toByteArray());
        }
    }

    static Path file(Path prefix, int shard, int shards) {
        return Path.of(String.format("%s.data-%05d-of-%05d", prefix, shard, shards));
    }
}
