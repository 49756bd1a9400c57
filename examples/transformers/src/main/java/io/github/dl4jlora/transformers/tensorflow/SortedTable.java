package io.github.dl4jlora.transformers.tensorflow;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A file of keys in ascending order and their values, LevelDB's table format
 * (https://github.com/google/leveldb, doc/table_format.md):
 *
 * <pre>
 *   file    data block …, metaindex block, index block, footer
 *   block   entry …, restart offset (4 bytes) …, number of restarts (4 bytes) | compression (1 byte), checksum (4 bytes)
 *   entry   shared, unshared, length (varints), the key's bytes after the first {@code shared} of the key before it, value
 *   index   a key and a handle for each data block
 *   handle  offset, size (varints)
 *   footer  two handles padded to 40 bytes, magic number (8 bytes)
 * </pre>
 *
 * <p>Numbers of fixed width are little-endian. Keys here are text. Read as a whole, since the indexes that it is for are small.
 */
final class SortedTable {

    private static final long MAGIC = 0xdb4775248b80fb57L;
    private static final int FOOTER = 48;
    private static final int TRAILER = 5;
    /** Largest size of a table in bytes; that of BERT-base has 8,530. */
    private static final int LARGEST = 16 << 20;
    /** Shared prefixes let a small file contain long keys. */
    private static final int MOST_OF_KEYS = 2 * LARGEST;

    private final Path file;
    private final byte[] bytes;
    private final Map<String, byte[]> values = new LinkedHashMap<>();
    private byte[] last;
    private long ofKeys;
    private long read;

    /** Where a block lies, without its trailer. */
    private record Handle(int offset, int size) {
    }

    /** Takes a block's entries. */
    @FunctionalInterface
    private interface Entries {
        void add(byte[] key, byte[] value) throws IOException;
    }

    private SortedTable(Path file, byte[] bytes) {
        this.file = file;
        this.bytes = bytes;
    }

    /**
     * Reads all of it.
     *
     * @return values by key, in the order of the keys
     * @throws IOException naming the file, if it is missing, is not such a table, or is damaged or compressed
     */
    static Map<String, byte[]> read(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new IOException(file + " does not exist or is not a file");
        }
        long size = Files.size(file);
        if (size < FOOTER || size > LARGEST) {
            throw new IOException(file + " has " + size + " bytes; the index of a TensorFlow checkpoint has between " + FOOTER
                    + " and " + LARGEST);
        }
        SortedTable table = new SortedTable(file, Files.readAllBytes(file));
        try {
            table.readBlocks();
        } catch (BufferUnderflowException | IllegalArgumentException e) {
            throw new IOException(file + " is damaged: an entry of its index is cut off", e);
        }
        return table.values;
    }

    private void readBlocks() throws IOException {
        ByteBuffer footer = buffer(bytes.length - FOOTER, FOOTER);
        if (footer.getLong(FOOTER - Long.BYTES) != MAGIC) {
            throw new IOException(file + " is not the index of a TensorFlow checkpoint: its last eight bytes are "
                    + Long.toHexString(footer.getLong(FOOTER - Long.BYTES)) + ", expected " + Long.toHexString(MAGIC));
        }
        // The handle of the metaindex block, which TensorFlow leaves empty.
        handle(footer);
        readBlock(handle(footer), (key, value) -> readDataBlock(handle(ByteBuffer.wrap(value))));
    }

    /** Reads data blocks in the order of the file, so that no byte is read twice. */
    private void readDataBlock(Handle handle) throws IOException {
        if (handle.offset < read) {
            throw damaged(handle, "the one before it ends at " + read);
        }
        read = (long) handle.offset + handle.size;
        readBlock(handle, this::add);
    }

    private void readBlock(Handle handle, Entries entries) throws IOException {
        requireIntact(handle);
        ByteBuffer block = buffer(handle.offset, handle.size);
        int restarts = block.getInt(handle.size - Integer.BYTES);
        long end = handle.size - Integer.BYTES * (1L + restarts);
        if (restarts < 0 || end <= 0) {
            throw damaged(handle, restarts + " restarts");
        }
        block.limit((int) end);
        byte[] key = {};
        while (block.hasRemaining()) {
            int shared = length(block);
            int unshared = length(block);
            int length = length(block);
            if (shared > key.length || (long) unshared + length > block.remaining()) {
                throw damaged(handle, "an entry with " + shared + " shared and " + unshared + " further bytes of key and "
                        + length + " of value");
            }
            ofKeys += shared + unshared;
            if (ofKeys > MOST_OF_KEYS) {
                throw damaged(handle, "keys of more than " + MOST_OF_KEYS + " bytes in all");
            }
            key = Arrays.copyOf(key, shared + unshared);
            block.get(key, shared, unshared);
            byte[] value = new byte[length];
            block.get(value);
            entries.add(key, value);
        }
    }

    private void requireIntact(Handle handle) throws IOException {
        if (handle.size < Integer.BYTES || handle.offset > bytes.length - FOOTER - TRAILER - handle.size) {
            throw damaged(handle, "it does not fit into the file of " + bytes.length + " bytes");
        }
        int compression = bytes[handle.offset + handle.size];
        if (compression != 0) {
            throw new IOException(file + ": the block at " + handle.offset + " is compressed ("
                    + (compression == 1 ? "Snappy" : "type " + compression)
                    + "), which is not supported; have TensorFlow save the checkpoint without compression");
        }
        int stored = buffer(handle.offset + handle.size + 1, Integer.BYTES).getInt();
        if (MaskedCrc.of(bytes, handle.offset, handle.size + 1) != stored) {
            throw damaged(handle, "its checksum differs");
        }
    }

    private void add(byte[] key, byte[] value) throws IOException {
        if (last != null && Arrays.compareUnsigned(last, key) >= 0) {
            throw new IOException(file + " is damaged: its key \"" + text(key) + "\" comes after \"" + text(last) + "\"");
        }
        last = key;
        if (values.put(text(key), value) != null) {
            throw new IOException(file + " is damaged: its key \"" + text(key) + "\" is not text in UTF-8");
        }
    }

    private static String text(byte[] key) {
        return new String(key, StandardCharsets.UTF_8);
    }

    private IOException damaged(Handle handle, String what) {
        return new IOException(file + " is damaged: block of " + handle.size + " bytes at " + handle.offset + ": " + what);
    }

    private ByteBuffer buffer(int from, int length) {
        return ByteBuffer.wrap(bytes, from, length).slice().order(ByteOrder.LITTLE_ENDIAN);
    }

    private static Handle handle(ByteBuffer from) throws IOException {
        return new Handle(length(from), length(from));
    }

    /** A number of bytes in this file. */
    private static int length(ByteBuffer from) throws IOException {
        long value = 0;
        for (int shift = 0; shift < Long.SIZE; shift += 7) {
            byte next = from.get();
            value |= (next & 0x7fL) << shift;
            if (next >= 0) {
                if (value < 0 || value > LARGEST) {
                    throw new IllegalArgumentException(value + " bytes");
                }
                return (int) value;
            }
        }
        throw new IllegalArgumentException("a number without an end");
    }
}
