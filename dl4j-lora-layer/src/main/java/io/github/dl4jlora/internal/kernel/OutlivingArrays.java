package io.github.dl4jlora.internal.kernel;

import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;

/** Arrays that have to outlive a layer's own pass: they are where the network's inputs are. */
public final class OutlivingArrays {

    private OutlivingArrays() {
    }

    /**
     * {@return with what to make arrays of {@link ArrayType#INPUT} in a pass} A graph's backward pass names workspaces that
     * nobody has opened, if only training has none.
     */
    public static LayerWorkspaceMgr in(LayerWorkspaceMgr workspaces) {
        return workspaces.isWorkspaceOpen(ArrayType.INPUT) ? workspaces : LayerWorkspaceMgr.noWorkspacesImmutable();
    }
}
