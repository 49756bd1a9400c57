package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.peft.Delta;
import io.github.dl4jlora.variant.Variant;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

import static io.github.dl4jlora.internal.peft.AdapterLog.LOG;

/** Warns of adapters that change nothing, as before the first step of training. */
final class NothingLearned {

    private final LoRAAdapter adapter;
    private final AtomicBoolean looked = new AtomicBoolean();

    NothingLearned(LoRAAdapter adapter) {
        this.adapter = adapter;
    }

    /**
     * Warns, once for each adapter, of layers whose ΔW is zero.
     *
     * @param what happened to it, for the message
     */
    void warn(String what) {
        if (looked.getAndSet(true)) {
            return;
        }
        List<String> untrained = adapter.layers().stream().filter(layer -> isNothing(adapter.content().delta(layer))).toList();
        if (!untrained.isEmpty()) {
            LOG.warn("An adapter was {} whose layers {} ({} of {}) change nothing: A·B is zero there, as before training. Train "
                    + "the network first, or leave these layers out with exclude(...)", what, untrained, untrained.size(),
                    adapter.layers().size());
        }
    }

    /** Of variants that only add; a product that happens to be zero otherwise is not looked for. */
    static boolean isNothing(Delta delta) {
        if (!delta.kind().variant().isAdditive()) {
            return false;
        }
        if (delta.kind().init().isTakenFromW()) {
            return delta.has(Variant.START_A) && isZero(delta.a().sub(delta.more().get(Variant.START_A)))
                    && isZero(delta.b().sub(delta.more().get(Variant.START_B)));
        }
        return isZero(delta.a()) || isZero(delta.b());
    }

    private static boolean isZero(INDArray array) {
        return array.amaxNumber().doubleValue() == 0;
    }
}
