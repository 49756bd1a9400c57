package io.github.dl4jlora.transformers.tensorflow;

import java.util.zip.CRC32C;
import java.util.zip.Checksum;

/**
 * The checksum of blocks and tensors: CRC-32C, rotated and shifted, so that the checksum of bytes that contain their own checksum
 * is not constant. https://github.com/google/leveldb, util/crc32c.h
 */
final class MaskedCrc {

    private static final int DELTA = 0xa282ead8;

    private MaskedCrc() {
    }

    static int of(byte[] bytes, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, length);
        return masked(crc);
    }

    static int masked(Checksum crc) {
        return Integer.rotateRight((int) crc.getValue(), 15) + DELTA;
    }
}
