package io.github.dl4jlora.internal.run;

import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A copy of a layer's part of the vector, to find out whether it has changed since. Nothing else tells: iteration counts miss
 * {@code setParams} and writes into views.
 */
public final class Snapshot {

    private @Nullable INDArray copy;
    private @Nullable Object state;

    /** Remembers the values as they are now. */
    public void take(INDArray values) {
        if (copy == null) {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                copy = values.dup();
            }
        } else {
            copy.assign(values);
        }
    }

    /** Whether the values are unchanged, bit for bit. False if they are not in the host's memory, where nothing is known. */
    public boolean isOf(INDArray values) {
        return copy != null && canTell(values)
                && Pointer.memcmp(values.data().addressPointer(), copy.data().addressPointer(),
                values.length() * values.dataType().width()) == 0;
    }

    private static boolean canTell(INDArray values) {
        return Nd4j.getBackend().getEnvironment().isCPU() && values.elementWiseStride() == 1;
    }

    /** The same object as long as the values are the same; null if nothing is known. */
    public @Nullable Object state(INDArray values) {
        if (!canTell(values)) {
            return null;
        }
        if (state == null || !isOf(values)) {
            take(values);
            state = new Object();
        }
        return state;
    }

    /** Makes the next state another object: something besides the values has changed. */
    public void changed() {
        state = null;
    }
}
