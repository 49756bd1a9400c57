package io.github.dl4jlora.internal.onednn;

import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.dnnl.matmul;
import org.bytedeco.dnnl.memory;
import org.bytedeco.dnnl.primitive_attr;
import org.bytedeco.dnnl.reorder;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

import java.lang.ref.Reference;
import java.util.Optional;
import java.util.function.LongFunction;

/**
 * Copies of frozen matrices in the layout that oneDNN multiplies fastest: each product of few rows reads its matrix once from one
 * end to the other. A copy serves products with W, or those with Wᵀ.
 */
public final class Packing {

    /** Of the other operand when a layout is chosen. It serves any number of rows. */
    private static final int ROWS = 32;
    /** Smaller matrices stay in the processor's first caches, however they lie. */
    private static final long LEAST = 1 << 14;

    private Packing() {
    }

    /** Whether products with a matrix of this type and size gain from a packed copy here. */
    public static boolean gains(Weights.Type type, long rows, long columns) {
        return OneDnn.takes(rows * columns, LEAST) && (type == Weights.Type.FLOAT || OneDnn.Cpu.MULTIPLIES_BF16);
    }

    /**
     * A packed copy.
     *
     * @param plain where it lies
     * @param room  gives memory for so many bytes; the copy keeps it reachable
     * @return null if oneDNN has no layout for it
     */
    public static @Nullable Weights packed(Weights plain, LongFunction<BytePointer> room) {
        return packed(find(plain), plain, room);
    }

    /** @param call copies it into a layout, and tells that layout; empty if oneDNN has none for it */
    static @Nullable Weights packed(Optional<Call> call, Weights plain, LongFunction<BytePointer> room) {
        if (call.isEmpty()) {
            return null;
        }
        Layout layout = call.get().layout();
        BytePointer copy = room.apply(layout.bytes());
        Calls.run(call.get(), plain.values(), copy);
        Reference.reachabilityFence(plain);
        return plain.packed(copy, layout);
    }

    /**
     * What a packed copy takes; 0 if there would be none.
     *
     * @param transposed whether it is one of a transpose
     */
    public static long bytes(Weights.Type type, long rows, long columns, boolean transposed) {
        if (!gains(type, rows, columns)) {
            return 0;
        }
        Weights plain = new Weights(type, new Pointer(), rows, columns, transposed ? columns : 1, transposed ? 1 : rows,
                type == Weights.Type.INT8 ? new float[0] : null, !transposed, null);
        return find(plain).map(call -> call.layout().bytes()).orElse(0L);
    }

    private static Optional<Call> find(Weights plain) {
        return Calls.find(OneDnn.threads(), Packing.class, plain.numbers(), () -> Compiler.compile(plain));
    }

    /** Apart from the class around it, as in {@link Products}. */
    static final class Compiler {

        private Compiler() {
        }

        static Optional<Call> compile(Weights plain) {
            long[] sizes = {plain.rows(), plain.columns()};
            memory.data_type ofX = Products.Compiler.ofRows(plain.type());
            try (memory.desc from = Products.Compiler.description(plain);
                 memory.desc x = new memory.desc(new long[] {ROWS, sizes[0]}, ofX, memory.format_tag.ab, false);
                 memory.desc any = new memory.desc(sizes, Products.Compiler.ofWeights(plain.type()), memory.format_tag.any,
                         false);
                 memory.desc z = OneDnn.Cpu.floats(new long[] {ROWS, sizes[1]}, new long[] {sizes[1], 1});
                 primitive_attr attributes = Products.Compiler.attributes(plain, false);
                 matmul.primitive_desc chosen = new matmul.primitive_desc(OneDnn.Cpu.ENGINE, x, any, z, attributes, true)) {
                if (!OneDnn.Cpu.isFast(chosen)) {
                    return Optional.empty();
                }
                return into(chosen.weights_desc(), from);
            }
        }

        /** Copies what lies somewhere into a layout, and tells that layout. */
        static Optional<Call> into(memory.desc chosen, memory.desc from) {
            Layout layout = new Layout(chosen);
            try (primitive_attr plainly = OneDnn.Cpu.attributes(false)) {
                reorder.primitive_desc copying = new reorder.primitive_desc(OneDnn.Cpu.ENGINE, from, OneDnn.Cpu.ENGINE,
                        layout.description(), plainly, true);
                return copying.asBoolean() ? Optional.of(new Call(new reorder(copying), copying, layout)
                        .with(dnnl.DNNL_ARG_FROM, from, from, false)
                        .with(dnnl.DNNL_ARG_TO, layout.description(), layout.description(), true)) : Optional.empty();
            }
        }
    }
}
