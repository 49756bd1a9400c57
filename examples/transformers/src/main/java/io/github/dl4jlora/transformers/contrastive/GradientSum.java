package io.github.dl4jlora.transformers.contrastive;

import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** Adds up gradients of parameters, since a backward pass overwrites those of the one before. */
final class GradientSum {

    private INDArray sum;

    /** Takes the gradients of a part; after the last they are those of all parts. */
    void add(INDArray ofPart, boolean first, boolean last) {
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            if (sum == null) {
                sum = Nd4j.create(ofPart.dataType(), ofPart.shape());
            }
            if (first) {
                sum.assign(ofPart);
            } else if (last) {
                ofPart.addi(sum);
            } else {
                sum.addi(ofPart);
            }
        }
    }
}
