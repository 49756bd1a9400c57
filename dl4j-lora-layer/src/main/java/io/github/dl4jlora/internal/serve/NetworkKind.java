package io.github.dl4jlora.internal.serve;

import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import org.deeplearning4j.nn.api.Model;

import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Networks that can stand in for one another: a prototype, of which the others are copies, and what all have in common.
 */
public final class NetworkKind {

    @GuardedBy("this")
    private final Model prototype;
    private final AdaptedView view;
    private final boolean ofOneAdapter;
    private final Set<String> whole;

    /** @param ofOneAdapter whether the values of an adapter are put into its networks before they compute */
    NetworkKind(Model prototype, boolean ofOneAdapter) {
        this.prototype = prototype;
        this.view = AdaptedView.of(prototype);
        this.ofOneAdapter = ofOneAdapter;
        this.whole = view.adaptedMatrices().entrySet().stream().filter(matrix -> !matrix.getValue().tellsExamplesApart())
                .map(Map.Entry::getKey).collect(Collectors.toUnmodifiableSet());
    }

    /** Of the prototype: to be looked at, not to compute with. */
    AdaptedView view() {
        return view;
    }

    boolean isOfOneAdapter() {
        return ofOneAdapter;
    }

    /** Matrices that cannot tell the examples of a batch apart. */
    Set<String> wholeMatrices() {
        return whole;
    }

    Set<String> matrices() {
        return view.adaptedMatrices().keySet();
    }

    /** A network of the kind. DL4J does not promise that two threads can copy one at once. */
    synchronized Model copy() {
        return Adaptation.copy(prototype);
    }
}
