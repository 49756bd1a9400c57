package io.github.dl4jlora.bank;

import io.github.dl4jlora.internal.build.Adaptation;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import org.deeplearning4j.nn.api.Model;

import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Networks of a bank that compute the same mixes: one of which the others are copies, and what is known of all of them.
 */
final class NetworkKind {

    private final Model prototype;
    private final AdaptedView view;
    private final boolean ofOneAdapter;
    private final Set<String> whole;

    /** @param ofOneAdapter whether its networks are given the values of one adapter before they compute */
    NetworkKind(Model prototype, boolean ofOneAdapter) {
        this.prototype = prototype;
        this.view = AdaptedView.of(prototype);
        this.ofOneAdapter = ofOneAdapter;
        this.whole = view.adaptedMatrices().entrySet().stream().filter(matrix -> !matrix.getValue().tellsExamplesApart())
                .map(Map.Entry::getKey).collect(Collectors.toUnmodifiableSet());
    }

    /** Of the network that others are copies of: to be looked at, not used. */
    AdaptedView view() {
        return view;
    }

    boolean isOfOneAdapter() {
        return ofOneAdapter;
    }

    /** Matrices that are the same for all examples of a batch. */
    Set<String> wholeMatrices() {
        return whole;
    }

    Set<String> matrices() {
        return view.adaptedMatrices().keySet();
    }

    /** A network of the kind. DL4J does not promise that one can be copied by two threads at once. */
    synchronized Model copy() {
        return Adaptation.copy(prototype);
    }
}
