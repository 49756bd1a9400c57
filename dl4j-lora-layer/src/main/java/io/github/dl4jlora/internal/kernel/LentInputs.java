package io.github.dl4jlora.internal.kernel;

import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Inputs that layers take as they are where DL4J would have each layer copy its own: between the layers of a graph's forward pass
 * alone, whose outputs live until all that read them have been computed.
 */
public final class LentInputs {

    /** What the names of DL4J's workspaces for a forward pass without a backward pass begin with. */
    private static final String FORWARD = "WS_LAYER_ACT_";
    /** For each such workspace one that leaves its arrays where they are. */
    private static final Map<String, LayerWorkspaceMgr> LENDERS = new ConcurrentHashMap<>();

    private LentInputs() {
    }

    /** The workspaces with which to set a layer's input; the layer must not write to it. */
    public static LayerWorkspaceMgr of(@Nullable INDArray input, LayerWorkspaceMgr workspaces) {
        if (input == null || !input.isAttached()) {
            return workspaces;
        }
        String home = input.data().getParentWorkspace().getId();
        return home.startsWith(FORWARD) && workspaces.hasConfiguration(ArrayType.INPUT)
                && !workspaces.isScopedOut(ArrayType.INPUT) && workspaces.getWorkspaceName(ArrayType.INPUT).startsWith(FORWARD)
                ? LENDERS.computeIfAbsent(home, LentInputs::lender) : workspaces;
    }

    private static LayerWorkspaceMgr lender(String workspace) {
        LayerWorkspaceMgr lender = LayerWorkspaceMgr.noWorkspaces();
        lender.setNoLeverageOverride(workspace);
        return lender;
    }
}
