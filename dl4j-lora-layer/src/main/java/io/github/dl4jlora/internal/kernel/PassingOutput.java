package io.github.dl4jlora.internal.kernel;

import io.github.dl4jlora.internal.blas.GrowingScratch;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.function.BooleanSupplier;

/**
 * Memory for an output of a graph's layer that no backward pass reads; layers further up use the same memory again. DL4J's own
 * workspace keeps all outputs of a training forward pass to the end of the step.
 */
public final class PassingOutput {

    /** A running layer or vertex that can put its outputs there. */
    public interface Maker {

        /** @param place for its outputs; null if outputs are to be kept */
        void setPassingOutput(@Nullable PassingOutput place);

        /** Whether it puts them there: of a layer around another one, whether the other one does. */
        default boolean makesPassingOutput() {
            return true;
        }
    }

    /** DL4J's workspace for all outputs of a training step, and for nothing else. */
    private static final String OF_A_STEP = "WS_ALL_LAYERS_ACT";
    /** The workspace for outputs that are computed again in the backward pass. */
    public static final String OF_A_BLOCK = "WS_LORA_BLOCK_ACT";

    /** What the name of a pass's working memory ends with while outputs are computed again. */
    public static final String AGAIN = "_AGAIN";

    private final GrowingScratch memory = new GrowingScratch();
    private final BooleanSupplier watched;

    /** @param watched whether anyone looks at all outputs after a forward pass */
    public PassingOutput(BooleanSupplier watched) {
        this.watched = watched;
    }

    /**
     * An uninitialised array for an output.
     *
     * @param place    null for the workspace of activations
     * @param training whether the pass is followed by a backward pass
     */
    public static INDArray create(@Nullable PassingOutput place, boolean training, LayerWorkspaceMgr workspaces,
            DataType type, long[] shape, char order) {
        return place != null && training && place.isOpen(workspaces) ? place.memory.of(type, shape[0], shape[1], order)
                : workspaces.createUninitialized(ArrayType.ACTIVATIONS, type, shape, order);
    }

    private boolean isOpen(LayerWorkspaceMgr workspaces) {
        return (isOfAStep(true, workspaces) || isNamed(OF_A_BLOCK, workspaces)) && !watched.getAsBoolean();
    }

    /** Whether a forward pass is that of DL4J's training step, which a backward pass in workspaces follows. */
    public static boolean isOfAStep(boolean training, LayerWorkspaceMgr workspaces) {
        return training && isNamed(OF_A_STEP, workspaces);
    }

    /** Whether a forward pass computes outputs again, in the midst of a backward pass that goes on after it. */
    public static boolean isAgain(LayerWorkspaceMgr workspaces) {
        return workspaces.hasConfiguration(ArrayType.FF_WORKING_MEM) && !workspaces.isScopedOut(ArrayType.FF_WORKING_MEM)
                && workspaces.getWorkspaceName(ArrayType.FF_WORKING_MEM).endsWith(AGAIN);
    }

    private static boolean isNamed(String name, LayerWorkspaceMgr workspaces) {
        return workspaces.hasConfiguration(ArrayType.ACTIVATIONS)
                && name.equals(workspaces.getWorkspaceName(ArrayType.ACTIVATIONS));
    }
}
