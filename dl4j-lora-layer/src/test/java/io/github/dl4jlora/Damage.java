package io.github.dl4jlora;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;

/** Random damage to files, the same for the same generator. */
public final class Damage {

    private Damage() {
    }

    /**
     * @param reach  how many bytes from the beginning hold the grammar; most of the damage goes there
     * @param tokens pieces of the grammar, for damage that gets past the parser
     */
    public static byte[] to(byte[] original, int reach, String[] tokens, Random random) {
        byte[] bytes = original.clone();
        for (int times = 1 + random.nextInt(3); times > 0 && bytes.length > 0; times--) {
            int at = random.nextInt(random.nextInt(4) == 0 ? bytes.length : Math.min(reach, bytes.length));
            switch (random.nextInt(8)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = (byte) random.nextInt(256);
                case 2 -> bytes = Arrays.copyOf(bytes, at);
                case 3 -> bytes = spliced(bytes, at, at, tokens[random.nextInt(tokens.length)].getBytes(StandardCharsets.UTF_8));
                case 4 -> bytes = spliced(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(30)), new byte[0]);
                case 5 -> {
                    int to = Math.min(bytes.length, at + 1 + random.nextInt(60));
                    bytes = spliced(bytes, at, at, Arrays.copyOfRange(bytes, at, to));
                }
                case 6 -> bytes = digitChanged(bytes, at, random);
                default -> {
                    byte[] token = tokens[random.nextInt(tokens.length)].getBytes(StandardCharsets.UTF_8);
                    bytes = spliced(bytes, at, Math.min(bytes.length, at + token.length), token);
                }
            }
        }
        return bytes;
    }

    /** A number of the header becomes another of as many digits, so that all else stays in place. */
    private static byte[] digitChanged(byte[] bytes, int from, Random random) {
        for (int i = from; i < bytes.length; i++) {
            if (bytes[i] >= '0' && bytes[i] <= '9') {
                bytes[i] = (byte) ('0' + random.nextInt(10));
                return bytes;
            }
        }
        return bytes;
    }

    private static byte[] spliced(byte[] bytes, int from, int to, byte[] inserted) {
        byte[] result = new byte[bytes.length - (to - from) + inserted.length];
        System.arraycopy(bytes, 0, result, 0, from);
        System.arraycopy(inserted, 0, result, from, inserted.length);
        System.arraycopy(bytes, to, result, from + inserted.length, bytes.length - to);
        return result;
    }
}
