package io.github.dl4jlora.property;

import org.nd4j.linalg.activations.Activation;

import java.util.List;

/**
 * One layer.
 *
 * @param kind    what it is; left out where the signal does not fit it
 * @param role    what becomes of it, if it has parameters
 * @param form    details, see {@link Form}
 * @param wraps   what is around it, from the inside out; left out where it does not fit
 * @param dropOut whether the layer drops some of its input while training
 * @param join    how it stands in a graph
 */
record LayerSpec(Kind kind, Role role, int form, Activation activation, List<Wrap> wraps, boolean dropOut, Join join) {

    LayerSpec unfrozen() {
        List<Wrap> others = wraps.stream().filter(wrap -> !wrap.isFreezing()).toList();
        return new LayerSpec(kind, role, form, activation, others, dropOut, join);
    }

    @Override
    public String toString() {
        return Source.of(this);
    }
}
