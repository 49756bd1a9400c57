package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.base.FrozenReference;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import org.deeplearning4j.nn.api.Model;

import java.util.List;
import java.util.Objects;

/** Lets networks multiply with packed copies of their frozen matrices. */
public final class Packs {

    private Packs() {
    }

    /**
     * Packs what is outside the network's parameter vector.
     *
     * @throws IllegalArgumentException if that is nothing
     */
    public static void pack(Model model) {
        List<FrozenReference> outside = Networks.of(model).nodes().stream().map(Node::frozenReference).filter(Objects::nonNull)
                .toList();
        if (outside.isEmpty()) {
            throw new IllegalArgumentException("pack: the network has no frozen weights outside its parameter vector. Freeze it "
                    + "with LoRA.freeze, or adapt it with LoRAConfig.storage(FrozenStorage.SHARED)");
        }
        outside.forEach(FrozenReference::pack);
    }
}
