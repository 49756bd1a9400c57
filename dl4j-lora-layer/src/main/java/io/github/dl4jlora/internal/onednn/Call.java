package io.github.dl4jlora.internal.onednn;

import org.bytedeco.dnnl.IntMemoryMap;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive;
import org.bytedeco.dnnl.primitive_desc_base;
import org.bytedeco.dnnl.reorder;
import org.bytedeco.dnnl.stream;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A compiled primitive with the objects that describe its operands, made once for a thread. Before each run the operands'
 * addresses are set. What the primitive wants in a layout of its own is copied into the thread's working memory, or from there.
 */
final class Call implements AutoCloseable {

    private static final Pointer NOWHERE = new Pointer();

    private final primitive compiled;
    private final int threads = OneDnn.openMpThreads();
    private final IntMemoryMap operands = new IntMemoryMap();
    private final List<Operand> inOrder = new ArrayList<>();
    private final List<Pointer> owned = new ArrayList<>();
    private final @Nullable Layout layout;
    private final memory scratchpad;
    private final long scratchBytes;
    private long packedBytes;

    /**
     * An operand as the caller has it.
     *
     * @param plain   as the caller has it
     * @param packed  as the primitive wants it; plain itself if that is the same
     * @param copying between both; null if they are the same
     * @param offset  of packed in the thread's memory for such copies, in bytes
     * @param written whether the primitive writes it
     */
    private record Operand(memory plain, memory packed, @Nullable reorder copying, long offset, boolean written) {

        void copy(stream on) {
            if (copying != null) {
                copying.execute(on, written ? packed : plain, written ? plain : packed);
            }
        }
    }

    Call(primitive compiled, primitive_desc_base description) {
        this(compiled, description, null);
    }

    /** @param layout of packed weights; null for none */
    Call(primitive compiled, primitive_desc_base description, @Nullable Layout layout) {
        this.layout = layout;
        this.compiled = own(compiled);
        memory.desc room = own(description.scratchpad_desc());
        scratchBytes = room.get_size();
        scratchpad = own(new memory(room, OneDnn.Cpu.ENGINE, NOWHERE));
        operands.put(dnnl.DNNL_ARG_SCRATCHPAD, scratchpad);
        own(operands);
    }

    /** For how many threads it was compiled. */
    int threads() {
        return threads;
    }

    /** Of the packed weights. */
    Layout layout() {
        return Objects.requireNonNull(layout);
    }

    private <P extends Pointer> P own(P pointer) {
        owned.add(pointer);
        return pointer;
    }

    /**
     * Adds the next operand.
     *
     * @param argument oneDNN's number of it
     * @param given    its layout as the caller has it
     * @param wanted   its layout as the primitive wants it
     */
    Call with(int argument, memory.desc given, memory.desc wanted, boolean written) {
        memory plain = own(new memory(given, OneDnn.Cpu.ENGINE, NOWHERE));
        if (given.equals(wanted)) {
            inOrder.add(new Operand(plain, plain, null, 0, written));
            operands.put(argument, plain);
            return this;
        }
        memory packed = own(new memory(wanted, OneDnn.Cpu.ENGINE, NOWHERE));
        reorder copying = own(written ? new reorder(packed, plain) : new reorder(plain, packed));
        inOrder.add(new Operand(plain, packed, copying, packedBytes, written));
        operands.put(argument, packed);
        packedBytes += Working.aligned(wanted.get_size());
        return this;
    }

    /**
     * Adds scale and shift of a finish, as far as there are any, which follow the primitive's result.
     *
     * @param ofResult the result's shape
     */
    Call finished(Finish finish, long[] ofResult) {
        if (finish.shift() == null) {
            return this;
        }
        try (memory.desc channels = OneDnn.Cpu.channels(ofResult)) {
            return with(dnnl.DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE | dnnl.DNNL_ARG_SRC_1, channels, channels, false);
        }
    }

    /** @param addresses of the operands, in the order in which they were added */
    void run(stream on, Working working, Pointer... addresses) {
        BytePointer room = working.room(packedBytes + scratchBytes);
        scratchpad.set_data_handle(room.getPointer(packedBytes));
        for (int i = 0; i < addresses.length; i++) {
            Operand operand = inOrder.get(i);
            operand.plain.set_data_handle(addresses[i]);
            if (operand.copying != null) {
                operand.packed.set_data_handle(room.getPointer(operand.offset));
            }
            if (!operand.written) {
                operand.copy(on);
            }
        }
        compiled.execute(on, operands);
        for (Operand operand : inOrder) {
            if (operand.written) {
                operand.copy(on);
            }
        }
        on._wait();
    }

    @Override
    public void close() {
        for (int i = owned.size() - 1; i >= 0; i--) {
            owned.get(i).close();
        }
    }
}
