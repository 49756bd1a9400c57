package io.github.dl4jlora.bank;

import org.nd4j.linalg.activations.impl.ActivationTanH;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.concurrent.atomic.AtomicInteger;

/** tanh that counts how often it is computed. */
public final class CountedTanh extends ActivationTanH {

    private static final long serialVersionUID = 1L;
    private static final AtomicInteger CALLS = new AtomicInteger();

    static void reset() {
        CALLS.set(0);
    }

    static int calls() {
        return CALLS.get();
    }

    @Override
    public INDArray getActivation(INDArray in, boolean training) {
        CALLS.incrementAndGet();
        return super.getActivation(in, training);
    }
}
