package io.github.dl4jlora.internal.onednn;

import org.bytedeco.dnnl.memory;
import org.bytedeco.javacpp.BytePointer;

import java.nio.LongBuffer;
import java.util.Arrays;

/** A layout that oneDNN chose for a packed matrix. It is freed when nobody refers to it any more. */
final class Layout {

    private final memory.desc description;
    private final long[] content;

    Layout(memory.desc chosen) {
        description = new memory.desc(chosen);
        try (BytePointer blob = chosen.get_blob()) {
            LongBuffer numbers = blob.asByteBuffer().asLongBuffer();
            content = new long[numbers.remaining()];
            numbers.get(content);
        }
    }

    memory.desc description() {
        return description;
    }

    /** Whether it is this one. */
    boolean isThat(memory.desc other) {
        return description.equals(other);
    }

    long bytes() {
        return description.get_size();
    }

    /** Numbers, and behind them all that tells this layout from others. */
    long[] after(long[] numbers) {
        long[] all = Arrays.copyOf(numbers, numbers.length + content.length);
        System.arraycopy(content, 0, all, numbers.length, content.length);
        return all;
    }
}
