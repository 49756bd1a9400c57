package io.github.dl4jlora.serve;

import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.SeekableByteChannel;
import java.util.ArrayList;
import java.util.List;

/** Bytes that arrive a few at a time, in blocks: growing copies nothing, and takes at most one block more than the bytes. */
final class Blocks {

    /** Bytes of a block; a multiple of the size of each number. */
    static final int BLOCK = 1 << 13;

    private final List<byte[]> blocks = new ArrayList<>();
    /** The free part of the last block. */
    private ByteBuffer room = ByteBuffer.allocate(0);

    long size() {
        return (long) blocks.size() * BLOCK - room.remaining();
    }

    void add(byte[] bytes, int length) {
        for (int from = 0; from < length; ) {
            int part = Math.min(length - from, room().remaining());
            room.put(bytes, from, part);
            from += part;
        }
    }

    /** The free bytes of the last block, at least one, to be written to, in little-endian order. */
    ByteBuffer room() {
        if (!room.hasRemaining()) {
            byte[] block = new byte[BLOCK];
            blocks.add(block);
            room = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
        }
        return room;
    }

    InputStream stream() {
        return Channels.newInputStream(channel());
    }

    /** Reads the bytes that are there. */
    SeekableByteChannel channel() {
        return new Reading(size());
    }

    private final class Reading implements SeekableByteChannel {

        private final long size;
        private long position;
        private boolean open = true;

        Reading(long size) {
            this.size = size;
        }

        @Override
        public int read(ByteBuffer target) {
            int read = 0;
            while (position < size && target.hasRemaining()) {
                int at = (int) (position % BLOCK);
                int part = (int) Math.min(Math.min(target.remaining(), BLOCK - at), size - position);
                target.put(blocks.get((int) (position / BLOCK)), at, part);
                position += part;
                read += part;
            }
            return read > 0 || !target.hasRemaining() ? read : -1;
        }

        @Override
        public long position() {
            return position;
        }

        @Override
        public SeekableByteChannel position(long newPosition) {
            position = newPosition;
            return this;
        }

        @Override
        public long size() {
            return size;
        }

        @Override
        public boolean isOpen() {
            return open;
        }

        @Override
        public void close() {
            open = false;
        }

        @Override
        public int write(ByteBuffer source) {
            throw new NonWritableChannelException();
        }

        @Override
        public SeekableByteChannel truncate(long newSize) {
            throw new NonWritableChannelException();
        }
    }
}
