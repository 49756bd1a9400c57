package io.github.dl4jlora.transformers.tensorflow;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;

/** Writes what {@link SortedTable} reads: entries in blocks of a few, keys cut short except for every second. */
final class TableBytes {

    static final long MAGIC = 0xdb4775248b80fb57L;
    private static final int RESTART = 2;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private byte compression;

    /** As if it were compressed so. */
    TableBytes compressed(int type) {
        compression = (byte) type;
        return this;
    }

    /** @param keys in order, if it is to be a good table */
    byte[] of(List<Map.Entry<String, byte[]>> keys, int perBlock) {
        List<Map.Entry<byte[], byte[]>> index = new ArrayList<>();
        for (int from = 0; from < keys.size(); from += perBlock) {
            List<Map.Entry<byte[], byte[]>> entries = new ArrayList<>();
            keys.subList(from, Math.min(from + perBlock, keys.size()))
                    .forEach(entry -> entries.add(Map.entry(entry.getKey().getBytes(StandardCharsets.UTF_8), entry.getValue())));
            index.add(Map.entry(entries.get(entries.size() - 1).getKey(), block(entries)));
        }
        return ending(block(List.of()), block(index));
    }

    static byte[] of(SortedMap<String, byte[]> values) {
        return new TableBytes().of(List.copyOf(values.entrySet()), 3);
    }

    /** Of keys and values as they are. */
    byte[] block(List<Map.Entry<byte[], byte[]>> entries) {
        ByteArrayOutputStream block = new ByteArrayOutputStream();
        List<Integer> restarts = new ArrayList<>(List.of(0));
        byte[] before = {};
        for (int i = 0; i < entries.size(); i++) {
            byte[] key = entries.get(i).getKey();
            int shared = 0;
            if (i > 0 && i % RESTART == 0) {
                restarts.add(block.size());
            } else {
                while (shared < Math.min(before.length, key.length) && before[shared] == key[shared]) {
                    shared++;
                }
            }
            number(block, shared);
            number(block, key.length - shared);
            number(block, entries.get(i).getValue().length);
            block.write(key, shared, key.length - shared);
            block.writeBytes(entries.get(i).getValue());
            before = key;
        }
        restarts.forEach(restart -> fixed(block, restart));
        fixed(block, restarts.size());
        return raw(block.toByteArray());
    }

    /** Writes a block's bytes and gives its handle. */
    byte[] raw(byte[] block) {
        ByteArrayOutputStream handle = new ByteArrayOutputStream();
        number(handle, out.size());
        number(handle, block.length);
        byte[] whole = ByteBuffer.allocate(block.length + 1).put(block).put(compression).array();
        out.writeBytes(whole);
        fixed(out, MaskedCrc.of(whole, 0, whole.length));
        return handle.toByteArray();
    }

    byte[] ending(byte[] metaindex, byte[] index) {
        byte[] footer = ByteBuffer.allocate(48).order(ByteOrder.LITTLE_ENDIAN).put(metaindex).put(index).putLong(40, MAGIC)
                .array();
        out.writeBytes(footer);
        return out.toByteArray();
    }

    static void number(ByteArrayOutputStream to, long value) {
        long rest = value;
        for (; (rest & ~0x7fL) != 0; rest >>>= 7) {
            to.write((int) (rest & 0x7f | 0x80));
        }
        to.write((int) rest);
    }

    static void fixed(ByteArrayOutputStream to, int value) {
        to.writeBytes(ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
    }
}
