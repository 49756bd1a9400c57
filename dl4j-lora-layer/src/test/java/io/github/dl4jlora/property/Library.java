package io.github.dl4jlora.property;

import io.github.dl4jlora.internal.blas.Blas;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.onednn.OneDnn.Use;

/** What computes products and convolutions with frozen weights, wherever it can. */
enum Library {

    ONE_DNN(Use.ALWAYS, true), OPEN_BLAS(Use.NEVER, true), ND4J(Use.NEVER, false);

    private final Use use;
    private final boolean direct;

    Library(Use use, boolean direct) {
        this.use = use;
        this.direct = direct;
    }

    /** From now on. */
    void compute() {
        OneDnn.use(use);
        Blas.use(direct);
    }

    /** As it is without a test. */
    static void computeAsUsual() {
        OneDnn.use(Use.WHERE_IT_GAINS);
        Blas.use(true);
    }
}
