package io.github.dl4jlora.internal.recurrent;

import io.github.dl4jlora.internal.blas.Scratch;
import io.github.dl4jlora.internal.run.AdaptedProduct;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * The loops over time steps. Everything is {@link TimeMajor}; what does not depend on the step before has been computed for all
 * steps, and gradients of weights follow from dL/dz of all steps.
 *
 * <pre>
 * z  [steps · minibatch, gates · units]      x·W; then the gates' values; then dL/dz
 * h  [(steps + 1) · minibatch, units]        outputs, the state before the first step ahead of them
 * c  as h                                    memory
 * </pre>
 *
 * @param <V> an array of float or of double
 */
final class Recurrence<V> {

    private final Vectors<V> vectors;
    private final Cell<V> cell;
    private final @Nullable Peepholes<V> peepholes;
    private final int examples;
    private final int units;
    private final DataType type;

    private final List<V> z;
    private final List<V> more;
    private final List<V> biases;
    private final V h;
    private final V mask;
    private V before;
    private V after;

    private final Scratch hNow = new Scratch();
    private final Scratch product = new Scratch();

    private Recurrence(Vectors<V> vectors, RecurrentForm form, int examples, DataType type) {
        int length = Math.multiplyExact(examples, form.units());
        this.vectors = vectors;
        this.peepholes = form.hasPeepholes() ? new Peepholes<>(vectors, form.units(), length) : null;
        this.cell = form.isSimple() ? new SimpleCell<>(vectors, form.f())
                : new LstmCell<>(vectors, form.f(), form.g(), peepholes, length);
        this.examples = examples;
        this.units = form.units();
        this.type = type;
        this.z = arrays(length);
        this.more = arrays(length);
        this.biases = arrays(length);
        this.h = vectors.zeros(length);
        this.mask = vectors.zeros(length);
        this.before = vectors.zeros(length);
        this.after = vectors.zeros(length);
    }

    static Recurrence<?> of(RecurrentForm form, int examples, DataType type) {
        return new Recurrence<>(Vectors.of(type), form, examples, type);
    }

    private List<V> arrays(int length) {
        return Stream.generate(() -> vectors.zeros(length)).limit(cell.gates()).toList();
    }

    boolean isFor(int batch) {
        return batch == examples;
    }

    /** Writes the state after the last step of the last {@link #forward}. */
    void writeState(State last) {
        write(last, 0);
    }

    /**
     * @param all    x·W of all steps, without bias; becomes the gates' values if memory and outputs are kept
     * @param bias   for each column of {@code all}
     * @param kept   c and h, to be written; null if there will be no backward pass
     * @param state  c and h before the first step; null for none
     * @param masks  for each step a factor for each example; null for none
     * @param output outputs; overwritten
     */
    void forward(INDArray all, double[] bias, AdaptedProduct recurrent, @Nullable State kept, @Nullable State state,
                 double @Nullable [][] masks, INDArray output) {
        for (int gate = 0; gate < biases.size(); gate++) {
            vectors.repeat(Arrays.copyOfRange(bias, gate * units, (gate + 1) * units), biases.get(gate));
        }
        preparePeepholes(recurrent);
        start(state);
        if (kept != null) {
            write(kept, 0);
        }
        long steps = all.size(0) / examples;
        for (int step = 0; step < steps; step++) {
            long row = (long) step * examples;
            vectors.read(all, row, units, z);
            boolean follows = step > 0 || state != null;
            if (follows) {
                INDArray from = hNow.of(type, examples, units);
                vectors.write(List.of(h), from, 0, units);
                INDArray to = product.of(type, examples, recurrent.columns());
                recurrent.times(from, to);
                vectors.read(to, 0, units, more);
            }
            for (int gate = 0; gate < z.size(); gate++) {
                if (follows) {
                    vectors.add(more.get(gate), biases.get(gate), z.get(gate));
                } else {
                    vectors.add(biases.get(gate), z.get(gate));
                }
            }
            cell.forward(z, before, maskOf(masks, step), after, h);
            V swapped = before;
            before = after;
            after = swapped;
            if (kept != null) {
                vectors.write(z, all, row, units);
                write(kept, row + examples);
            }
            vectors.write(List.of(h), output, row, units);
        }
    }

    private void start(@Nullable State state) {
        if (state == null) {
            vectors.clear(h);
            vectors.clear(before);
        } else {
            vectors.read(state.h(), 0, units, List.of(h));
            readMemory(state, 0);
        }
    }

    private void readMemory(State state, long row) {
        if (state.c() != null) {
            vectors.read(state.c(), row, units, List.of(before));
        }
    }

    private void write(State kept, long row) {
        vectors.write(List.of(h), kept.h(), row, units);
        if (kept.c() != null) {
            vectors.write(List.of(before), kept.c(), row, units);
        }
    }

    private void preparePeepholes(AdaptedProduct recurrent) {
        if (peepholes != null) {
            peepholes.set(recurrent.special(recurrent.columns() - Peepholes.COLUMNS, examples));
        }
    }

    private @Nullable V maskOf(double @Nullable [][] masks, int step) {
        if (masks == null) {
            return null;
        }
        vectors.spread(masks[step], mask);
        return mask;
    }

    /**
     * @param all   gates' values of all steps; from the first step on, they become dL/dz
     * @param kept  as {@link #forward} wrote it
     * @param first step that backpropagation reaches
     * @param eps   dL/d(output) of all steps
     * @return gradients of peepholes; null for a cell without them
     */
    double @Nullable [][] backward(INDArray all, AdaptedProduct recurrent, State kept, double @Nullable [][] masks, long first,
                                   INDArray eps) {
        preparePeepholes(recurrent);
        List<V> dz = biases;
        dz.forEach(vectors::clear);
        cell.startBackward();
        long last = all.size(0) / examples - 1;
        INDArray dzNow = product.of(type, examples, recurrent.columns());
        dzNow.assign(0);
        INDArray dhNow = hNow.of(type, examples, units);
        for (long step = last; step >= first; step--) {
            long row = step * examples;
            vectors.read(eps, row, units, List.of(h));
            if (step < last) {
                vectors.write(dz, dzNow, 0, units);
                recurrent.timesTransposed(dzNow, dhNow);
                vectors.read(dhNow, 0, units, List.of(after));
                vectors.add(after, h);
            }
            vectors.read(all, row, units, z);
            readMemory(kept, row);
            cell.backward(z, before, maskOf(masks, (int) step), h, dz);
            vectors.write(dz, all, row, units);
        }
        return peepholes == null ? null : peepholes.gradients();
    }
}
