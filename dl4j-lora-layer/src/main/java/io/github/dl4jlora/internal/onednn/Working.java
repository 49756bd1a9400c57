package io.github.dl4jlora.internal.onednn;

import org.bytedeco.javacpp.BytePointer;

/** A thread's working memory: as large as the largest primitive needed so far, and freed with the thread. */
final class Working {

    /** What oneDNN's vectors like. */
    private static final int ALIGNMENT = 64;

    private BytePointer memory = new BytePointer();

    static long aligned(long bytes) {
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** Memory of its own that begins where oneDNN likes it. It is freed when nobody refers to it any more. */
    static BytePointer own(long bytes) {
        return start(new BytePointer(bytes + ALIGNMENT));
    }

    /** Refers to the memory, and keeps it. */
    private static BytePointer start(BytePointer memory) {
        long behind = memory.address() % ALIGNMENT;
        return memory.getPointer(behind == 0 ? 0 : ALIGNMENT - behind);
    }

    /** Where at least so many bytes begin. */
    BytePointer room(long bytes) {
        // Where new memory could not be had, the present one is closed, and still tells its capacity.
        if (memory.isNull() || memory.capacity() < bytes + ALIGNMENT) {
            memory.close();
            memory = new BytePointer(bytes + ALIGNMENT);
        }
        return start(memory);
    }
}
