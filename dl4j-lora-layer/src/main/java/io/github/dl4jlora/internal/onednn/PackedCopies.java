package io.github.dl4jlora.internal.onednn;

import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Packed copies of one frozen matrix, for products with W and for those with Wᵀ, or for a convolution and its way back. Each is
 * made when it is first needed, unless the matrix has changed by then. All networks on a base share them, and their memory is
 * freed with the base.
 */
public final class PackedCopies {

    /** Memory of a thread for copies that are lent. */
    private static final ThreadLocal<Working> LENT = ThreadLocal.withInitial(Working::new);
    /** Stands for a copy that oneDNN turned out not to have. */
    private static final Weights NONE = new Weights(Weights.Type.FLOAT, new Pointer(), 0, 0, 0, 0, null, false, null);

    private final BooleanSupplier isUnmoved;
    private volatile @Nullable Weights forward;
    private volatile @Nullable Weights backward;

    /** Of a matrix that nobody changes. */
    public PackedCopies() {
        this(() -> true);
    }

    /** @param isUnmoved whether the matrix is still what it was; asked before a copy is made */
    public PackedCopies(BooleanSupplier isUnmoved) {
        this.isUnmoved = isUnmoved;
    }

    /**
     * Copies in the calling thread's memory, until it makes the next such copies.
     *
     * @param plain      where the matrix lies, or its transpose
     * @param transposed whether it is the transpose
     * @return null if oneDNN has no layout for it
     */
    public static @Nullable PackedCopies lent(Weights plain, boolean transposed) {
        if (!Packing.gains(plain.type(), plain.rows(), plain.columns())) {
            return null;
        }
        Weights packed = Packing.packed(plain, bytes -> LENT.get().room(bytes));
        if (packed == null) {
            return null;
        }
        PackedCopies copies = new PackedCopies();
        copies.forward = transposed ? NONE : packed;
        copies.backward = transposed ? packed : NONE;
        return copies;
    }

    /**
     * A copy for products.
     *
     * @param transposed whether products with Wᵀ use it
     * @param plain      where W lies, or Wᵀ; null if oneDNN cannot read it
     * @return null if there is none; then products read the matrix where it lies
     */
    public @Nullable Weights of(boolean transposed, Supplier<@Nullable Weights> plain) {
        return of(transposed, plain, from -> Packing.gains(from.type(), from.rows(), from.columns())
                ? Packing.packed(from, Working::own) : null);
    }

    /**
     * As {@link #of(boolean, Supplier)}, for whatever computes with the matrix.
     *
     * @param transposed whether backward passes use it
     * @param packing    makes a copy in memory of its own; null if there is none
     */
    @Nullable Weights of(boolean transposed, Supplier<@Nullable Weights> plain, Function<Weights, @Nullable Weights> packing) {
        Weights present = transposed ? backward : forward;
        if (present == null) {
            present = make(transposed, plain, packing);
        }
        return present == null || present.layout() == null ? null : present;
    }

    private synchronized @Nullable Weights make(boolean transposed, Supplier<@Nullable Weights> plain,
                                                Function<Weights, @Nullable Weights> packing) {
        Weights present = transposed ? backward : forward;
        if (present != null) {
            return present;
        }
        Weights from = isUnmoved.getAsBoolean() ? plain.get() : null;
        if (from == null) {
            return null;
        }
        Weights made = packing.apply(from);
        present = made == null ? NONE : made;
        if (transposed) {
            backward = present;
        } else {
            forward = present;
        }
        return present;
    }

    /** What the copies that were made take. */
    public long bytes() {
        return bytes(forward) + bytes(backward);
    }

    private static long bytes(@Nullable Weights copy) {
        return copy == null || copy.layout() == null ? 0 : copy.layout().bytes();
    }
}
