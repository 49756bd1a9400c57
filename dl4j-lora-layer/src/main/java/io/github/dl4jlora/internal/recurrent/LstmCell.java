package io.github.dl4jlora.internal.recurrent;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * The cell of DL4J's LSTM and GravesLSTM, with gates in the order that DL4J has:
 *
 * <pre>
 * a = f(z₀)                  input
 * φ = g(z₁ + p₀ ⊙ c₋)        forget gate
 * o = g(z₂ + p₁ ⊙ c)         output gate
 * i = g(z₃ + p₂ ⊙ c₋)        input gate
 * c = φ ⊙ c₋ + i ⊙ a
 * h = o ⊙ f(c)
 * </pre>
 *
 * p are the peepholes of GravesLSTM. A mask sets c and h to zero. In its backward pass DL4J's LSTM has no regard for it, which is
 * kept here: where a masked step is followed by another one, gradients pass through it.
 */
final class LstmCell<V> implements Cell<V> {

    private static final int INPUT = 0;
    private static final int FORGET = 1;
    private static final int OUTPUT = 2;
    private static final int ADMIT = 3;

    private final Vectors<V> vectors;
    private final Curve f;
    private final Curve g;
    private final @Nullable Peepholes<V> peepholes;
    private final V c;
    private final V fOfC;
    private final V carried;
    private final V share;

    /**
     * @param f         the layer's activation
     * @param g         of the gates
     * @param peepholes null for an LSTM without them
     * @param length    minibatch · units
     */
    LstmCell(Vectors<V> vectors, Curve f, Curve g, @Nullable Peepholes<V> peepholes, int length) {
        this.vectors = vectors;
        this.f = f;
        this.g = g;
        this.peepholes = peepholes;
        this.c = vectors.zeros(length);
        this.fOfC = vectors.zeros(length);
        this.carried = vectors.zeros(length);
        this.share = vectors.zeros(length);
    }

    @Override
    public int gates() {
        return 4;
    }

    @Override
    public void forward(List<V> z, V before, @Nullable V mask, V memory, V output) {
        if (peepholes != null) {
            vectors.addProduct(before, peepholes.forget(), z.get(FORGET));
            vectors.addProduct(before, peepholes.admit(), z.get(ADMIT));
        }
        vectors.apply(f, z.get(INPUT), z.get(INPUT));
        vectors.apply(g, z.get(FORGET), z.get(FORGET));
        vectors.apply(g, z.get(ADMIT), z.get(ADMIT));
        remember(z, before, memory);
        if (peepholes != null) {
            vectors.addProduct(memory, peepholes.output(), z.get(OUTPUT));
        }
        vectors.apply(g, z.get(OUTPUT), z.get(OUTPUT));
        vectors.apply(f, memory, fOfC);
        vectors.multiply(z.get(OUTPUT), fOfC, output);
        if (mask != null) {
            vectors.multiply(output, mask, output);
            vectors.multiply(memory, mask, memory);
        }
    }

    private void remember(List<V> values, V before, V memory) {
        vectors.multiply(values.get(FORGET), before, memory);
        vectors.addProduct(values.get(ADMIT), values.get(INPUT), memory);
    }

    @Override
    public void startBackward() {
        vectors.clear(carried);
    }

    @Override
    public void backward(List<V> z, V before, @Nullable V mask, V dOutput, List<V> dz) {
        if (peepholes != null) {
            vectors.addProduct(dz.get(FORGET), peepholes.forget(), carried);
            vectors.addProduct(dz.get(ADMIT), peepholes.admit(), carried);
        }
        remember(z, before, c);
        vectors.apply(f, c, fOfC);
        vectors.multiply(dOutput, fOfC, dz.get(OUTPUT));
        vectors.multiplySlope(g, z.get(OUTPUT), dz.get(OUTPUT));
        if (mask != null) {
            vectors.multiply(c, mask, c);
            vectors.apply(f, c, fOfC);
        }
        vectors.multiply(dOutput, z.get(OUTPUT), share);
        vectors.multiplySlope(f, fOfC, share);
        vectors.add(share, carried);
        if (peepholes != null) {
            vectors.addProduct(dz.get(OUTPUT), peepholes.output(), carried);
        }
        through(z.get(FORGET), g, before, dz.get(FORGET));
        through(z.get(ADMIT), g, z.get(INPUT), dz.get(ADMIT));
        through(z.get(INPUT), f, z.get(ADMIT), dz.get(INPUT));
        vectors.multiply(carried, z.get(FORGET), carried);
        if (peepholes != null) {
            if (mask != null) {
                dz.forEach(gradient -> vectors.multiply(gradient, mask, gradient));
            }
            peepholes.addGradients(dz.get(FORGET), dz.get(OUTPUT), dz.get(ADMIT), before, c);
        }
    }

    /** dL/dz of a gate whose value was multiplied by another one's on its way into c. */
    private void through(V value, Curve curve, V other, V dz) {
        vectors.multiply(carried, other, dz);
        vectors.multiplySlope(curve, value, dz);
    }
}
