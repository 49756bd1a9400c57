package io.github.dl4jlora.internal.blas;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Arrays that a forward pass keeps for the backward pass. */
public final class KeptArrays {

    private KeptArrays() {
    }

    /**
     * Whether the array is there and its workspace, if it has one, has been neither closed nor reopened since. A circular
     * workspace, in which DL4J prefetches data, keeps its arrays beyond that, until it is destroyed.
     */
    public static boolean isUsable(@Nullable INDArray array) {
        if (array == null) {
            return false;
        }
        if (!array.isAttached()) {
            return true;
        }
        MemoryWorkspace home = array.data().getParentWorkspace();
        if (home == null) {
            return false;
        }
        return home.getWorkspaceType() == MemoryWorkspace.Type.CIRCULAR ? home.getCurrentSize() > 0
                : home.isScopeActive() && home.getGenerationId() == array.data().getGenerationId();
    }
}
